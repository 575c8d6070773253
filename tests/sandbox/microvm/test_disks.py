"""Disks made by mke2fs: what is on them, how long they are, what stays behind."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lambent.sandbox.microvm.disks import (
    CODE_DISK_BYTES,
    SCRATCH_DISK_BYTES,
    DiskError,
    format_folder,
    scratch_disk,
)

PATH = f"{os.defpath}:/usr/sbin:/sbin"
pytestmark = pytest.mark.skipif(
    shutil.which("mke2fs", path=PATH) is None, reason="no mke2fs (package e2fsprogs)"
)


def look(image: Path | str, command: str) -> str:
    words = ["debugfs", "-R", command, str(image)]
    return subprocess.run(
        words, check=True, capture_output=True, text=True, env={"PATH": PATH}
    ).stdout


def test_a_folder_becomes_a_disk_of_the_size_that_guests_know(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "big").write_bytes(b"x" * 5_000_000)
    (folder / "link").symlink_to("deep/big")
    image = tmp_path / "image"
    format_folder(folder, image, disk_bytes=CODE_DISK_BYTES)
    assert image.stat().st_size == CODE_DISK_BYTES
    assert image.stat().st_blocks * 512 < 12_000_000
    assert "Size: 5000000" in look(image, "stat /deep/big")
    assert "lost+found" not in look(image, "ls /")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["code", "image"]
    with pytest.raises(DiskError, match="larger than 1 MiB"):
        format_folder(folder, tmp_path / "other", disk_bytes=1 << 20)


def test_many_small_files_fit(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    for n in range(3_000):
        file = folder / str(n % 50) / f"{n}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    format_folder(folder, tmp_path / "image")
    assert "Size: 1" in look(tmp_path / "image", "stat /7/2957.txt")


def test_a_scratch_disk_has_no_name(tmp_path: Path) -> None:
    fd = scratch_disk(tmp_path, 64)
    try:
        assert list(tmp_path.iterdir()) == []
        assert os.fstat(fd).st_size == SCRATCH_DISK_BYTES
        assert os.fstat(fd).st_blocks * 512 < 8 << 20
        free = [line for line in look(f"/proc/{os.getpid()}/fd/{fd}", "stats").splitlines()
                if line.startswith("Free blocks:")]  # fmt: skip
        assert int(free[0].split()[-1]) * 4096 >= 64 << 20
    finally:
        os.close(fd)
