"""Unpacked code: a package is checked, then unpacked once per content into a read-only folder.

A package is hostile: paths that leave the folder, links, devices, names that differ only in what a
file system ignores, and bombs are refused before or while unpacking. Every byte written is counted
against the limit that the central directory promised, because the directory may lie.
Unpacking happens on a worker thread: it is file work of up to 250 MB.
"""

import asyncio
import errno
import io
import os
import shutil
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

ENTRIES_MAX = 100_000
"""Files and folders in one package."""

_CHUNK_BYTES = 1 << 20


_DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ValueError,
    EOFError,
    RuntimeError,  # with it NotImplementedError: a version or method that zipfile does not know
    FileExistsError,  # one name twice, once as a folder
    NotADirectoryError,
    IsADirectoryError,
)
"""What zipfile and the file system raise for bytes that are not a proper package."""


class BadPackageError(Exception):
    """The bytes are not a zip file that may be unpacked; the text says why."""


def inspect(data: bytes) -> int:
    """Check a package without unpacking it; returns the bytes that it says it unpacks to.

    Errors: BadPackageError.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as package:
            entries = package.infolist()
    except (*_DAMAGED, OSError) as error:
        raise BadPackageError(str(error)) from error
    if len(entries) > ENTRIES_MAX:
        raise BadPackageError(f"more than {ENTRIES_MAX} entries")
    if not entries:
        raise BadPackageError("an empty package")
    for entry in entries:
        _target(entry)
        if entry.flag_bits & 0x1:
            raise BadPackageError(f"{entry.filename!r} is encrypted")
    return sum(entry.file_size for entry in entries)


def _target(entry: zipfile.ZipInfo) -> PurePosixPath:
    """Where an entry goes, below the folder. Errors: BadPackageError."""
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or "\0" in entry.filename:
        raise BadPackageError(f"{entry.filename!r} leaves the package")
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise BadPackageError(f"{entry.filename!r} is neither a file nor a folder")
    return path


async def unpack(package: Path | bytes, folder: Path, unzipped_bytes_max: int) -> None:
    """Unpack a checked package into `folder`, which appears only when it is complete.

    Errors: BadPackageError, OSError.
    """
    await asyncio.get_running_loop().run_in_executor(
        None, _unpack, package, folder, unzipped_bytes_max
    )


def _unpack(package: Path | bytes, folder: Path, unzipped_bytes_max: int) -> None:
    if folder.exists():
        return
    fresh = folder.with_name(f"{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o755)
    source = io.BytesIO(package) if isinstance(package, bytes) else package
    try:
        with zipfile.ZipFile(source) as opened:
            left = unzipped_bytes_max
            links = []
            for entry in opened.infolist():
                if stat.S_ISLNK(entry.external_attr >> 16):
                    links.append(entry)
                else:
                    left -= _extract(opened, entry, fresh, left)
            for entry in links:  # after the files, so that nothing is written through a link
                _link(opened, entry, fresh)
        for path, _, _ in os.walk(fresh):  # whatever this server's umask is
            os.chmod(path, 0o755)  # noqa: S103 - code is for its function to read
        fresh.rename(folder)
    except _DAMAGED as error:
        raise BadPackageError(str(error)) from error
    except OSError as error:
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL):
            raise BadPackageError(str(error)) from error
        raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _extract(package: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path, left: int) -> int:
    target = folder / _target(entry)
    if entry.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        return 0
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with package.open(entry) as source, target.open("wb") as file:
        while chunk := source.read(_CHUNK_BYTES):
            written += len(chunk)
            if written > left:
                raise BadPackageError("the package unpacks to more than it said")
            file.write(chunk)
    executable = (entry.external_attr >> 16) & 0o111
    # Packages from systems without modes (0) stay runnable as AWS unpacks them: readable by all.
    target.chmod(0o755 if executable else 0o644)
    return written


def _link(package: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    target = folder / _target(entry)
    text = package.read(entry)[:4096].decode("utf-8", "surrogateescape")
    lands = Path(os.path.normpath(target.parent / text))
    if Path(text).is_absolute() or not lands.is_relative_to(folder):
        raise BadPackageError(f"the link {entry.filename!r} leaves the package")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(text)


async def discard(folder: Path) -> None:
    """Remove an unpacked package."""
    await asyncio.get_running_loop().run_in_executor(None, shutil.rmtree, folder, True)
