"""The store on SQLite: the front of this room, which joins its parts.

One process, one event loop, one data folder. With no folder the same code runs on a database in
memory; docs/adr/0005-store.md says why there is no second implementation for that.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw

from lambent.base.tasks import Tasks
from lambent.store.blobs import StoredBlobs
from lambent.store.changes import ResetPrefix, SweepBlob, encode
from lambent.store.checkpoints import Checkpoints
from lambent.store.folder import Folder
from lambent.store.protocol import Blobs, Change, Entry, Key, Record, Stats
from lambent.store.reader import Reader
from lambent.store.schema import PAGE_BYTES, connect, prepare
from lambent.store.sweep import sweep
from lambent.store.transaction import Transaction
from lambent.store.verify import verify
from lambent.store.writer import Writer


async def open_store(location: Path | None) -> "SqliteStore":
    """Open the data folder `location`, making it if need be; None keeps all in memory.

    Errors: StartupError (in use, not writable, another format, a blob's file gone), Corrupt.
    """
    folder = Folder(location)
    pool = ThreadPoolExecutor(2, "lambent-store")
    db: apsw.Connection | None = None
    store: SqliteStore | None = None
    try:
        # In the loop's thread: nothing else runs yet, and a thread would make the start slower.
        db = prepare(folder.database)
        sweep(db, folder)
        store = SqliteStore(folder, pool, db)
    finally:
        if store is None:
            if db is not None:
                db.close()
            pool.shutdown()
            folder.release()
    return store


class SqliteStore:
    """Implements `protocol.Store`; used from one event loop's thread."""

    blobs: Blobs

    def __init__(self, folder: Folder, pool: ThreadPoolExecutor, db: apsw.Connection) -> None:
        self._folder, self._pool, self._db = folder, pool, db
        file = str(folder.database or ":memory:")
        shelf = StoredBlobs(folder, pool, file)
        tx = Transaction(db, shelf.pinned, folder.blob)
        self._own = connect(folder.database) if folder.durable else db
        self._reader = Reader(self._own, db, lambda: self._writer.busy, file)
        self._tasks = Tasks("store")
        self._writer = Writer(
            db, tx, self._reader.cache, file=file, threaded=folder.durable, applied=self._applied
        )
        shelf.bind(self._reader.query, self._sweep)
        self.blobs = self._shelf = shelf
        self._checkpoints: Checkpoints | None = None
        if folder.database is not None:
            self._checkpoints = Checkpoints(folder.database, self._writer, self._tasks, pool)
            db.set_wal_hook(self._checkpoints.committed)
        self._closed = False

    async def get(self, key: Key) -> Record | None:
        """The record under `key`."""
        return self._reader.get(key)

    async def scan(
        self,
        prefix: Key,
        *,
        after: Key | None = None,
        limit: int = 1000,
        reverse: bool = False,
        starts: str = "",
    ) -> list[Record]:
        """A page of the records under `prefix`, in key order."""
        return self._reader.scan(prefix, after, limit, reverse=reverse, starts=starts)

    async def count(self, prefix: Key) -> int:
        """How many records are under `prefix`. O(n)."""
        return self._reader.count(prefix)

    async def commit(self, *changes: Change) -> list[int]:
        """Apply all or nothing, durably; see `protocol.Store.commit`."""
        assert not self._closed
        return await self._writer.submit([encode(change) for change in changes])

    def post(self, *changes: Change) -> None:
        """Apply soon; nobody waits for it."""
        assert not self._closed
        if changes:
            self._writer.post([encode(change) for change in changes])

    async def read_log(
        self, log: Key, *, after: int = 0, limit: int = 1000, reverse: bool = False
    ) -> list[Entry]:
        """A page of a log."""
        return self._reader.read_log(log, after, limit, reverse=reverse)

    async def logs(
        self, prefix: Key, *, after: Key | None = None, limit: int = 1000
    ) -> Sequence[Key]:
        """A page of the names of logs under `prefix`."""
        return self._reader.logs(prefix, after, limit)

    async def reset(self, prefixes: Sequence[Key]) -> None:
        """Delete all records and logs under each prefix, in one commit."""
        assert not self._closed
        await self._writer.submit([ResetPrefix(prefix) for prefix in prefixes])

    async def verify(self) -> list[str]:
        """Check everything that is stored; what is wrong, one line each."""
        await self.commit()
        if self._folder.database is None:
            return verify(self._db, self._folder)
        db = connect(self._folder.database)
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._pool, verify, db, self._folder)
        finally:
            db.close()

    async def stats(self) -> Stats:
        """Counters and sizes. O(records)."""
        writer, checkpoints = self._writer, self._checkpoints
        pages = self._reader.query("PRAGMA page_count", ())[0][0]
        return Stats(
            records=self._reader.count(()),
            db_bytes=pages * PAGE_BYTES,
            wal_bytes=checkpoints.wal_bytes() if checkpoints else 0,
            commits=writer.commits,
            batches=writer.batches,
            checkpoints=checkpoints.done if checkpoints else 0,
            fsync_ms=writer.fsync_s * 1000,
            posts_dropped=writer.posts_dropped,
        )

    async def close(self) -> None:
        """Finish what is waiting, checkpoint, and release the data folder. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._checkpoints is not None:
            await self._checkpoints.stop()
        await self._writer.close()
        if self._checkpoints is not None:
            await self._checkpoints.close()
            self._own.close()
        self._db.close()
        self._pool.shutdown()
        self._folder.release()

    def _applied(self, tx: Transaction) -> None:
        self._shelf.applied(tx)
        if self._checkpoints is not None:
            self._checkpoints.observe()

    def _sweep(self, operation: SweepBlob) -> None:
        if not self._closed:
            self._writer.post([operation])
