"""Disks of a microVM: ext4 images made from folders, and empty ones, by `mke2fs` without root.

A guest reads a disk's size once, when its driver starts, which is before the snapshot. So every
disk of one kind has the same size, and the file system on it is as small as it has to be: the files
are sparse, and the rest of them is never written.
"""

import os
import subprocess
from pathlib import Path

CODE_DISK_BYTES = 2 << 30
"""Of /var/task and of /opt: 250 MiB unzipped and the file system's own needs fit well."""
SCRATCH_DISK_BYTES = 12 << 30
"""Of /tmp: 10,240 MiB and the file system's own needs."""

_BLOCK_BYTES = 4096
_FIXED_BYTES = 2 << 20
_COMMAND_S_MAX = 120
_SEARCH_PATH = f"{os.defpath}:/usr/sbin:/sbin"
_MKE2FS = ("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(_BLOCK_BYTES), "-m", "0")
_FEATURES = "^has_journal,^resize_inode,^metadata_csum,^64bit,uninit_bg"


class DiskError(Exception):
    """A disk cannot be made; the text says why."""


def format_folder(folder: Path, image: Path, *, disk_bytes: int = 0) -> None:
    """Make `image`, a disk with the content of `folder`; for a worker thread.

    `image` appears only when it is complete; the file is at least `disk_bytes` long.
    Errors: DiskError.
    """
    inodes, blocks = 16, 0
    for path, folders, files in os.walk(folder):
        inodes += len(folders) + len(files)
        blocks += len(folders)
        for name in files:
            blocks += -(-os.lstat(os.path.join(path, name)).st_size // _BLOCK_BYTES)
    size = blocks * _BLOCK_BYTES * 21 // 20 + inodes * 256 + _FIXED_BYTES
    if disk_bytes and size > disk_bytes:
        raise DiskError(f"{folder} is larger than {disk_bytes >> 20} MiB")
    draft = image.with_name(f"{image.name}.{os.getpid()}.tmp")
    try:
        _mke2fs(draft, size, ["-N", str(inodes + 16), "-d", str(folder)])
        _run(["debugfs", "-w", "-R", "rmdir lost+found", str(draft)])
        if draft.stat().st_size < disk_bytes:
            os.truncate(draft, disk_bytes)
        draft.rename(image)
    finally:
        draft.unlink(missing_ok=True)


def scratch_disk(folder: Path, size_mib: int) -> int:
    """An empty disk whose file system takes `size_mib`; for a worker thread.

    Returns a descriptor: the file has no name any more, so that nothing is left behind.
    Errors: DiskError.
    """
    path = folder / f"scratch-{os.getpid()}-{os.urandom(8).hex()}"
    try:
        # What the file system keeps for itself: inode tables (one per 16 KiB) and bitmaps.
        size = (size_mib << 20) * 104 // 100 + _FIXED_BYTES
        _mke2fs(path, size, ["-i", "16384", "-E", "lazy_itable_init=1,nodiscard,root_owner=0:0"])
        os.truncate(path, SCRATCH_DISK_BYTES)
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    finally:
        path.unlink(missing_ok=True)


def _mke2fs(image: Path, size: int, options: list[str]) -> None:
    _run([*_MKE2FS, "-O", _FEATURES, *options, str(image), f"{-(-size // 1024)}k"])


def _run(command: list[str]) -> None:
    try:
        subprocess.run(  # noqa: S603 - fixed programs, no shell
            command,
            check=True,
            capture_output=True,
            timeout=_COMMAND_S_MAX,
            text=True,
            env={"PATH": _SEARCH_PATH},
        )
    except FileNotFoundError as error:
        raise DiskError(f"{command[0]} is not installed (Debian package e2fsprogs)") from error
    except subprocess.TimeoutExpired as error:
        raise DiskError(f"{command[0]} took more than {_COMMAND_S_MAX} s") from error
    except subprocess.CalledProcessError as error:
        raise DiskError(f"{command[0]}: {str(error.stderr).strip()[-300:]}") from error
