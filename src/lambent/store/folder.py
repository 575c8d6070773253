"""The data folder: who may use it, and where what is in it lies.

DIR/lock           the pid of the server that has it; held by flock while it runs
DIR/lambent.db     records, logs and small blobs (and SQLite's -wal and -shm beside it)
DIR/blobs/ab/...   large blobs, named by their SHA-256
DIR/blobs/tmp/     blobs that are being written or removed; emptied at start
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from lambent.base.errors import StartupError


class Folder:
    """A data folder held by this process; with `location` None a temporary one without database."""

    def __init__(self, location: Path | None) -> None:
        self.durable = location is not None
        self._lock = -1
        self.root = location or Path(tempfile.mkdtemp(prefix="lambent-"))
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            if self.durable:
                self._lock = _take(self.root / "lock", self.root)
            self.temporary.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            self.release()
            raise StartupError(
                f"the data folder {self.root} cannot be used ({error.strerror}): make it a folder "
                f"that user {os.getuid()} may write to, or choose another"
            ) from error

    @property
    def database(self) -> Path | None:
        """The database file; None when it is in memory."""
        return self.root / "lambent.db" if self.durable else None

    @property
    def blobs(self) -> Path:
        """Where large blobs lie."""
        return self.root / "blobs"

    @property
    def temporary(self) -> Path:
        """Where a file is before it is a blob and after it was one."""
        return self.root / "blobs" / "tmp"

    def blob(self, sha256: str) -> Path:
        """The file of a large blob."""
        return self.root / "blobs" / sha256[:2] / sha256

    def release(self) -> None:
        """Let another server have it; a temporary folder is removed. Idempotent."""
        if not self.durable:
            shutil.rmtree(self.root, ignore_errors=True)
        elif self._lock >= 0:
            os.close(self._lock)
            self._lock = -1


def _take(file: Path, root: Path) -> int:
    lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        holder = os.pread(lock, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(lock)
        raise StartupError(
            f"the data folder {root} is in use by process {holder}: stop that server, or start "
            f"this one with another data folder"
        ) from error
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
