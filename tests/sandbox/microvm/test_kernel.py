"""Unpacking kernels, packing an initramfs."""

import gzip
import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from lambent.sandbox.microvm.kernel import cpio, initramfs, lz4_legacy, vmlinux
from lambent.sandbox.microvm.packages import PackageError

ELF = b"\x7fELF" + bytes(range(256)) * 400 + b"abcabcabcabc" * 999


def bz_image(packed: bytes) -> bytes:
    head = bytearray(1024)
    head[0x1F1] = 1
    head[0x202:0x206] = b"HdrS"
    head[0x248:0x24C] = (0).to_bytes(4, "little")
    head[0x24C:0x250] = (len(packed) + 4).to_bytes(4, "little")
    return bytes(head) + packed + len(ELF).to_bytes(4, "little")


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress])
def test_the_kernel_inside_a_bzimage(pack: object) -> None:
    assert vmlinux(bz_image(pack(ELF))) == ELF  # type: ignore[operator]


def test_what_is_no_kernel() -> None:
    with pytest.raises(PackageError, match="not a bzImage"):
        vmlinux(bytes(2048))
    with pytest.raises(PackageError, match="not known here"):
        vmlinux(bz_image(b"something else"))
    with pytest.raises(PackageError, match="not an ELF"):
        vmlinux(bz_image(gzip.compress(b"text")))


def test_lz4_by_hand() -> None:
    # literals "abcd", then 10 bytes from 4 back (it repeats itself), then literals to the end
    block = bytes([0x46]) + b"abcd" + bytes([4, 0]) + bytes([0x50]) + b"vwxyz"
    packed = b"\x02\x21\x4c\x18" + len(block).to_bytes(4, "little") + block
    assert lz4_legacy(packed) == b"abcd" + b"abcdabcdab" + b"vwxyz"


def test_lz4_by_its_own_program(tmp_path: Path) -> None:
    if shutil.which("lz4") is None:
        pytest.skip("no lz4 program to compare with")
    (tmp_path / "x").write_bytes(ELF)
    subprocess.run(["lz4", "-l", "-q", str(tmp_path / "x"), str(tmp_path / "y")], check=True)
    assert lz4_legacy((tmp_path / "y").read_bytes()) == ELF


def test_an_initramfs_holds_busybox_the_modules_and_init(tmp_path: Path) -> None:
    (tmp_path / "kernel").mkdir()
    (tmp_path / "kernel" / "virtio.ko").write_bytes(b"module")
    (tmp_path / "kernel" / "virtio_blk.ko.xz").write_bytes(lzma.compress(b"packed module"))
    archive = initramfs(b"busybox", tmp_path)
    assert archive.startswith(b"070701")
    assert len(archive) % 4 == 0
    for text in (b"bin/busybox\0", b"modules/virtio.ko\0", b"packed module", b"switch_root"):
        assert text in archive
    assert b"virtio_mmio.ko\0" not in archive


def test_cpio_fields() -> None:
    archive = cpio({"a": (0o644, b"12345")})
    assert archive[:6] == b"070701"
    assert int(archive[14:22], 16) == 0o100644
    assert int(archive[54:62], 16) == 5
    assert archive[110:112] == b"a\0"
    assert b"TRAILER!!!" in archive
