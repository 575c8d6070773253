"""A Debian kernel made ready for a virtual machine: vmlinux out of vmlinuz, and an initramfs.

QEMU's `microvm` machine starts an uncompressed kernel at its PVH entry, which saves the guest from
unpacking itself (seconds under emulation). The initramfs loads the few virtio modules, mounts the
root disk read-only and starts `guest.py` on it.
"""

import gzip
import lzma
import stat
import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path

from lambent.sandbox.microvm.packages import PackageError

MODULES = ("virtio_ring", "virtio", "virtio_mmio", "virtio_console", "virtio_blk")
"""Loaded in this order."""

INIT = """#!/bin/busybox sh
/bin/busybox mount -t devtmpfs dev /dev
for module in {modules}; do /bin/busybox insmod /modules/$module.ko; done
/bin/busybox mount -t ext4 -o ro,noatime /dev/vda /root || exec /bin/busybox sleep 5
/bin/busybox mount -t tmpfs -o mode=0755,size=4m run /root/run
/bin/busybox cp -r /lambent /root/run/lambent
exec /bin/busybox switch_root /root /usr/bin/python3 -I -S /run/lambent/guest.py
"""
_VMLINUX_BYTES_MAX = 256 << 20
_LZ4 = b"\x02\x21\x4c\x18"


def vmlinux(image: bytes) -> bytes:
    """The ELF kernel inside a bzImage. Errors: PackageError."""
    if image[0x202:0x206] != b"HdrS"[::-1] and image[0x202:0x206] != b"HdrS":
        raise PackageError("the kernel is not a bzImage")
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (sectors + 1) * 512 + offset
    packed = image[start : start + length - 4]  # the last four bytes are the unpacked size
    if packed.startswith(_LZ4):
        kernel = lz4_legacy(packed)
    elif packed.startswith(b"\x1f\x8b"):
        kernel = gzip.decompress(packed)
    elif packed.startswith(b"\xfd7zXZ"):
        kernel = lzma.decompress(packed)
    elif packed.startswith(b"\x28\xb5\x2f\xfd"):
        kernel = _zstd(packed)
    else:
        raise PackageError("the kernel is packed in a way that is not known here")
    if not kernel.startswith(b"\x7fELF"):
        raise PackageError("the unpacked kernel is not an ELF file")
    return kernel


def lz4_legacy(data: bytes) -> bytes:
    """Unpack what `lz4 -l` packs: blocks of at most 8 MiB, each with its size before it."""
    result = bytearray()
    place = len(_LZ4)
    while place + 4 <= len(data):
        size = int.from_bytes(data[place : place + 4], "little")
        place += 4
        result += _lz4_block(data[place : place + size])
        place += size
        if len(result) > _VMLINUX_BYTES_MAX:
            raise PackageError("the kernel unpacks to too much")
    return bytes(result)


def _lz4_block(data: bytes) -> bytearray:
    """One block: literals and copies in turn. Source: lz4's doc/lz4_Block_format.md."""
    out = bytearray()
    place, end = 0, len(data)
    while place < end:
        token = data[place]
        place += 1
        count = token >> 4
        if count == 15:
            count, place = _long(data, place, count)
        out += data[place : place + count]
        place += count
        if place >= end:
            break
        back = data[place] | data[place + 1] << 8
        place += 2
        count = token & 15
        if count == 15:
            count, place = _long(data, place, count)
        count += 4
        start = len(out) - back
        if back >= count:
            out += out[start : start + count]
        else:  # it repeats itself
            out += (out[start:] * (count // back + 1))[:count]
    return out


def _long(data: bytes, place: int, count: int) -> tuple[int, int]:
    while True:
        more = data[place]
        place += 1
        count += more
        if more != 255:
            return count, place


def _zstd(packed: bytes) -> bytes:
    try:
        done = subprocess.run(["zstd", "-dc"], input=packed, capture_output=True, check=True)  # noqa: S607
    except (OSError, subprocess.CalledProcessError) as error:
        raise PackageError("this kernel needs zstd to be unpacked: install zstd") from error
    return done.stdout


def initramfs(busybox: bytes, modules: Path) -> bytes:
    """The first part of the initramfs; `modules`: the package's /lib/modules/VERSION."""
    files = {
        "bin/busybox": (0o755, busybox),
        "init": (0o755, INIT.format(modules=" ".join(MODULES)).encode()),
    }
    for name in MODULES:
        data = _module(modules, name)
        if data:  # built in where it is not there
            files[f"modules/{name}.ko"] = (0o644, data)
    return cpio(files, folders=("dev", "root", "bin", "modules"))


def _module(modules: Path, name: str) -> bytes:
    for path in modules.rglob(f"{name}.ko*"):
        data = path.read_bytes()
        return lzma.decompress(data) if path.suffix == ".xz" else data
    return b""


def cpio(files: Mapping[str, tuple[int, bytes]], folders: tuple[str, ...] = ()) -> bytes:
    """An archive in the `newc` format, as the kernel unpacks it: name -> (mode, content).

    Source: Documentation/driver-api/early-userspace/buffer-format.rst
    """
    entries = [(name, stat.S_IFDIR | 0o755, b"") for name in folders]
    entries += [(name, stat.S_IFREG | mode, data) for name, (mode, data) in files.items()]
    archive = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], start=1):
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        archive += b"070701" + b"".join(b"%08x" % field for field in fields) + path
        archive += bytes(-len(archive) % 4)
        archive += data + bytes(-len(data) % 4)
    return bytes(archive)
