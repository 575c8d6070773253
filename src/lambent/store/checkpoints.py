"""Checkpoints: moving pages from the write-ahead log to the database, off the hot path.

Left to itself SQLite checkpoints inside a commit; measured, that is where a p99 of 5 to 15 ms comes
from. Here a thread with its own connection copies in two steps: first while commits go on, then the
few pages that came meanwhile, with the writer held (about a millisecond), so that the log starts
again from its beginning. The file keeps its size: rewriting it is half as slow as growing it, since
the file system has no new blocks to record (6,100 against 3,850 commits a second). It is cut only
when it has become large.
"""

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

from lambent.base.tasks import Tasks
from lambent.store.schema import PAGE_BYTES, connect
from lambent.store.writer import Writer

START_BYTES = 4 * 1024 * 1024
FORCE_BYTES = 64 * 1024 * 1024  # commits wait from here on until the log is empty
KEEP_BYTES = 16 * 1024 * 1024  # a larger file is cut
IDLE_S = 2.0

_log = logging.getLogger("lambent.store")


class Checkpoints:
    """Keeps the write-ahead log of one database short."""

    def __init__(self, file: Path, writer: Writer, tasks: Tasks, pool: ThreadPoolExecutor) -> None:
        self._file, self._writer, self._tasks, self._pool = file, writer, tasks, pool
        self._loop = asyncio.get_running_loop()
        self._db: apsw.Connection | None = None
        self._run_at = START_BYTES
        self._running: asyncio.Task[None] | None = None
        self._stopped = False
        self._idle: asyncio.TimerHandle | None = None
        self._seen_batches = 0
        self._waiting_pages = 0
        self.done = 0

    def committed(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        """SQLite's hook after a commit, in whichever thread that ran; `pages` are in the log."""
        self._waiting_pages = pages
        return 0

    def observe(self) -> None:
        """A batch was made durable: see whether it is time."""
        if self._stopped:
            return
        waiting_bytes = self._waiting_pages * PAGE_BYTES
        if waiting_bytes >= self._run_at and self._running is None:
            self._start()
        elif waiting_bytes >= FORCE_BYTES and self._running is not None:
            self._writer.pause()  # the run that is under way ends it
        if self._idle is None:
            self._seen_batches = self._writer.batches
            self._idle = self._loop.call_later(IDLE_S, self._maybe_idle)

    def _maybe_idle(self) -> None:
        self._idle = None
        if self._seen_batches != self._writer.batches:
            self._seen_batches = self._writer.batches
            self._idle = self._loop.call_later(IDLE_S, self._maybe_idle)
        elif self._waiting_pages and self._running is None:
            self._start()

    def _start(self) -> None:
        self._running = self._tasks.start("checkpoint", self._run())

    async def _run(self) -> None:
        try:
            await self._loop.run_in_executor(self._pool, self._copy, "PASSIVE")
            await self._writer.hold()
            wal_bytes = self.wal_bytes()
            mode = "TRUNCATE" if wal_bytes > KEEP_BYTES else "PASSIVE"
            complete = await self._loop.run_in_executor(self._pool, self._copy, mode)
            if complete:
                self._waiting_pages, self._run_at = 0, START_BYTES
                self.done += 1
            else:  # a long read stands in the way, or the disk is full: later
                self._run_at = self._waiting_pages * PAGE_BYTES + START_BYTES
        finally:
            self._running = None
            self._writer.resume()

    def _copy(self, mode: str) -> bool:
        """Copy what can be copied; whether that was all."""
        try:
            if self._db is None:
                self._db = connect(self._file)
                self._db.pragma("synchronous", "FULL")
            total, copied = self._db.wal_checkpoint("main", _MODES[mode])
        except apsw.BusyError:
            return False
        except apsw.Error as error:
            _log.warning("%s: a checkpoint failed: %s", self._file, error)
            return False
        return total == copied

    def wal_bytes(self) -> int:
        """Size of the write-ahead log's file."""
        try:
            return self._file.with_name(self._file.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    async def stop(self) -> None:
        """Start no more."""
        self._stopped = True
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._running is not None:
            await asyncio.wait({self._running})

    async def close(self) -> None:
        """Copy all there is and cut the log; the writer must be closed."""
        await self._loop.run_in_executor(self._pool, self._copy, "TRUNCATE")
        if self._db is not None:
            self._db.close()


_MODES = {
    "PASSIVE": apsw.SQLITE_CHECKPOINT_PASSIVE,
    "TRUNCATE": apsw.SQLITE_CHECKPOINT_TRUNCATE,
}
