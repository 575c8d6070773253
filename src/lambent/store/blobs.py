"""Blobs: byte strings by their SHA-256, small ones in the database, large ones as files.

What keeps a blob: references from records (counted in its row) and pins (counted here, in memory).
A row goes in the transaction that takes its last reference, unless the blob is pinned; the file
goes once that transaction is durable, and only if nobody has pinned it since. So content that is
written again while the old copy is on its way out is never lost: `finish` pins before it renames,
and removing starts with a rename on the loop's thread, which cannot fall between the two.

Invariants: a row without data has a file, complete and synced before the row was; a file without a
row is pinned, or is removed at the latest by the sweep at start.
"""

import asyncio
import hashlib
import logging
import os
import secrets
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from lambent.store.blob_writer import FileBlobWriter
from lambent.store.changes import SweepBlob
from lambent.store.folder import Folder
from lambent.store.protocol import SMALL_BLOB_BYTES, Blob, Corrupt
from lambent.store.transaction import Transaction

PIECE_BYTES = 1024 * 1024
RECENT_BYTES_MAX = 16 * 1024 * 1024
"""Small blobs held in memory after they were read."""

_log = logging.getLogger("lambent.store")

Query = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]


class StoredBlobs:
    """The blobs of one store."""

    def __init__(self, folder: Folder, pool: ThreadPoolExecutor, file: str) -> None:
        self._folder, self._pool, self._file = folder, pool, file
        self._pins: dict[bytes, int] = {}
        self._unsettled: set[bytes] = set()  # perhaps without reference once they are not pinned
        self._recent: OrderedDict[bytes, bytes] = OrderedDict()  # verified small blobs, bounded
        self._recent_bytes = 0
        self._query: Query = _unbound
        self._sweep: Callable[[SweepBlob], None] = _unbound

    def bind(self, query: Query, sweep: Callable[[SweepBlob], None]) -> None:
        """Connect to the database, which in turn asks about pins."""
        self._query, self._sweep = query, sweep

    def small(self, data: bytes) -> Blob:
        """A blob of at most `SMALL_BLOB_BYTES` that the commit will write."""
        if len(data) > SMALL_BLOB_BYTES:
            raise ValueError(f"{len(data)} bytes are no small blob; use writer()")
        return Blob(hashlib.sha256(data).hexdigest(), len(data), data)

    def writer(self) -> FileBlobWriter:
        """Start to stream a blob in; it becomes a file when it grows over the small limit."""
        return FileBlobWriter(self._folder, self._pool, self._finishing, self.release)

    def _finishing(self, sha256: str, *, as_file: bool) -> None:
        self.pin(sha256)
        if as_file:
            self._unsettled.add(bytes.fromhex(sha256))

    async def read(self, sha256: str) -> bytes:
        """A whole blob, its hash verified; KeyError, Corrupt."""
        raw = bytes.fromhex(sha256)
        if (recent := self._recent.get(raw)) is not None:
            self._recent.move_to_end(raw)
            return recent
        size_bytes, data = self._find(sha256)
        if data is None:
            return b"".join([piece async for piece in self.chunks(sha256)])
        return self._remember(raw, self._verified(sha256, size_bytes, data))

    async def chunks(
        self, sha256: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """A range of a blob in pieces; one that is the whole blob is verified by its end."""
        size_bytes, data = self._find(sha256)
        stop = size_bytes if length is None else min(size_bytes, start + length)
        if data is not None:
            if piece := self._verified(sha256, size_bytes, data)[start:stop]:
                yield piece
            return
        self.pin(sha256)
        try:
            async for piece in self._file_pieces(sha256, size_bytes, start, stop):
                yield piece
        finally:
            self.release(sha256)

    async def _file_pieces(
        self, sha256: str, size_bytes: int, start: int, stop: int
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        path = self._folder.blob(sha256)
        digest = hashlib.sha256() if start == 0 and stop == size_bytes else None
        held = b""
        try:
            source = path.open("rb", buffering=0)
        except FileNotFoundError as error:
            raise Corrupt(path, sha256, "the file of a blob is missing") from error
        try:
            while start < stop:
                wanted = min(PIECE_BYTES, stop - start)
                piece = await loop.run_in_executor(
                    self._pool, _read_piece, source.fileno(), start, wanted, digest
                )
                if not piece:
                    raise Corrupt(path, sha256, f"the file ends at byte {start} of {size_bytes}")
                if held:
                    yield held
                held, start = piece, start + len(piece)
            if digest is not None and digest.hexdigest() != sha256:
                raise Corrupt(path, sha256, "the content of a blob does not have its hash")
            if held:
                yield held
        finally:
            source.close()

    def pin(self, sha256: str) -> None:
        """Keep a blob that is there now."""
        raw = bytes.fromhex(sha256)
        self._pins[raw] = self._pins.get(raw, 0) + 1

    def release(self, sha256: str) -> None:
        """Undo one `pin`; without references the blob goes with the last."""
        raw = bytes.fromhex(sha256)
        left = self._pins[raw] - 1
        if left:
            self._pins[raw] = left
            return
        del self._pins[raw]
        if raw in self._unsettled:
            self._unsettled.discard(raw)
            self._sweep(SweepBlob(raw))

    def _remember(self, raw: bytes, data: bytes) -> bytes:
        self._recent[raw] = data
        self._recent_bytes += len(data)
        while self._recent_bytes > RECENT_BYTES_MAX:
            self._recent_bytes -= len(self._recent.popitem(last=False)[1])
        return data

    def pinned(self, raw: bytes) -> bool:
        """Whether a blob has to stay for now."""
        return raw in self._pins

    def applied(self, tx: Transaction) -> None:
        """A batch is durable: remove the files that it freed."""
        if tx.kept:
            self._unsettled |= tx.kept
        for raw in tx.forgotten:
            self._recent_bytes -= len(self._recent.pop(raw, b""))
        for raw in tx.freed:
            if raw in self._pins:
                self._unsettled.add(raw)
            else:
                self._remove(raw.hex())

    def _remove(self, sha256: str) -> None:
        doomed = self._folder.temporary / secrets.token_hex(16)
        try:
            self._folder.blob(sha256).rename(doomed)
        except FileNotFoundError:
            return
        except OSError as error:  # the sweep at the next start removes what is left
            _log.warning("the blob %s could not be removed: %s", sha256, error)
            return
        self._pool.submit(doomed.unlink, missing_ok=True)

    def _find(self, sha256: str) -> tuple[int, bytes | None]:
        """Size and, of a small blob, content; KeyError."""
        raw = bytes.fromhex(sha256)
        for size_bytes, data in self._query(
            "SELECT size, data FROM blobs WHERE sha256 = ?", (raw,)
        ):
            return size_bytes, data
        if raw in self._pins:  # finished, and not yet referred to (or no longer)
            try:
                return self._folder.blob(sha256).stat().st_size, None
            except FileNotFoundError:
                pass
        raise KeyError(sha256)

    def _verified(self, sha256: str, size_bytes: int, data: bytes) -> bytes:
        if len(data) != size_bytes or hashlib.sha256(data).hexdigest() != sha256:
            raise Corrupt(self._file, sha256, "the content of a blob does not have its hash")
        return data


def _unbound(*_: object) -> Any:
    raise AssertionError("bind() comes first")


def _read_piece(descriptor: int, start: int, wanted: int, digest: Any) -> bytes:
    piece = os.pread(descriptor, wanted, start)
    if digest is not None:
        digest.update(piece)
    return piece
