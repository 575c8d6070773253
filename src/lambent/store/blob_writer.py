"""Streaming one blob in: kept in memory while it is small, else hashed and written piece by piece.

Hashing and writing a piece takes up to a millisecond and the final fsync much more, so a thread
does both; the caller waits for its piece, which is the back-pressure.
"""

import asyncio
import hashlib
import os
import secrets
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Protocol

from lambent.store.folder import Folder, sync_folder
from lambent.store.protocol import SMALL_BLOB_BYTES, Blob, StoreFull

PIECE_BYTES = 1024 * 1024


class Finishing(Protocol):
    """Told, on the loop's thread, that content is about to be in place: it pins it."""

    def __call__(self, sha256: str, *, as_file: bool) -> None:
        """`sha256` in hex; `as_file`: it will be a file, not data that the caller carries."""


class FileBlobWriter:
    """One blob that is being written; not for use by two tasks at once.

    Errors: StoreFull when the disk is full or fails; the blob is then discarded.
    """

    def __init__(
        self,
        folder: Folder,
        pool: ThreadPoolExecutor,
        finishing: Finishing,
        release: Callable[[str], None],
    ) -> None:
        self._folder, self._pool = folder, pool
        self._finishing, self._release = finishing, release
        self._digest = hashlib.sha256()
        self._buffer = bytearray()
        self._size_bytes = 0
        self._descriptor = -1
        self._temporary = folder.temporary / secrets.token_hex(16)
        self._job: Future[None] | None = None
        self._closed = False

    async def write(self, chunk: bytes) -> None:
        """Add bytes."""
        assert not self._closed
        self._buffer += chunk
        self._size_bytes += len(chunk)
        if len(self._buffer) >= PIECE_BYTES:
            await self._spill()

    async def finish(self) -> Blob:
        """Make it durable and name it; it is pinned until `release`d."""
        assert not self._closed
        if self._size_bytes <= SMALL_BLOB_BYTES:
            self._closed = True
            data = bytes(self._buffer)
            sha256 = hashlib.sha256(data).hexdigest()
            self._finishing(sha256, as_file=False)
            return Blob(sha256, len(data), data)
        if self._buffer:
            await self._spill()
        sha256 = self._digest.hexdigest()
        self._finishing(sha256, as_file=True)
        placed = False
        try:
            await self._in_thread(self._place, sha256)
            placed = self._closed = True
        finally:
            if not placed:
                self._release(sha256)
        return Blob(sha256, self._size_bytes)

    def close(self) -> None:
        """Discard unless finished; idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._job is not None and not self._job.done():
            # The caller was cancelled while a piece is being written: the file is the thread's.
            self._job.add_done_callback(lambda _: self._discard())
        else:
            self._discard()

    async def _spill(self) -> None:
        piece, self._buffer = self._buffer, bytearray()
        await self._in_thread(self._absorb, piece)

    async def _in_thread(self, work: Callable[[Any], None], argument: object) -> None:
        self._job = self._pool.submit(work, argument)
        try:
            await asyncio.wrap_future(self._job)
        except OSError as error:
            self.close()
            raise StoreFull(f"{self._temporary}: {error.strerror}") from error

    def _absorb(self, piece: bytearray) -> None:
        if self._descriptor < 0:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self._descriptor = os.open(self._temporary, flags, 0o644)
        view = memoryview(piece)
        for at in range(0, len(view), PIECE_BYTES):
            part = view[at : at + PIECE_BYTES]
            self._digest.update(part)
            while part:
                part = part[os.write(self._descriptor, part) :]

    def _place(self, sha256: str) -> None:
        if self._folder.durable:
            os.fsync(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        place = self._folder.blob(sha256)
        if not place.parent.exists():
            place.parent.mkdir(exist_ok=True)
            if self._folder.durable:
                sync_folder(self._folder.blobs)
        self._temporary.rename(place)
        if self._folder.durable:
            sync_folder(place.parent)

    def _discard(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._temporary.unlink(missing_ok=True)
