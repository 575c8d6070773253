"""code.py: packages are hostile."""

import io
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.sandbox.code import BadPackageError, discard, inspect, unpack

LIMIT = 1_000_000


def package(*entries: tuple[str, bytes, int]) -> bytes:
    """A zip of (name, content, mode)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content, mode in entries:
            entry = zipfile.ZipInfo(name)
            entry.external_attr = mode << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return buffer.getvalue()


FILE = stat.S_IFREG | 0o644
LINK = stat.S_IFLNK | 0o777


async def test_files_folders_and_modes(tmp_path: Path) -> None:
    data = package(
        ("index.py", b"x = 1\n", FILE),
        ("pkg/", b"", stat.S_IFDIR | 0o755),
        ("pkg/deep/mod.py", b"y = 2\n", 0),
        ("bootstrap", b"#!/bin/sh\n", stat.S_IFREG | 0o700),
        ("private.txt", b"", stat.S_IFREG | 0o600),
    )
    assert inspect(data) == len(b"x = 1\ny = 2\n#!/bin/sh\n")
    folder = tmp_path / "code"
    await unpack(data, folder, LIMIT)
    assert (folder / "index.py").read_bytes() == b"x = 1\n"
    assert (folder / "pkg/deep/mod.py").read_bytes() == b"y = 2\n"
    modes = {name: (folder / name).stat().st_mode & 0o777 for name in ("bootstrap", "private.txt")}
    assert modes == {"bootstrap": 0o755, "private.txt": 0o644}
    await unpack(data, folder, LIMIT)  # once per content: a second time is nothing
    await discard(folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    "name", ["../up", "/abs", "a/../../up", "..", "a\\..\\..\\up", "pkg/../../../etc/passwd"]
)
def test_paths_that_leave_are_refused(name: str) -> None:
    with pytest.raises(BadPackageError, match="leaves the package"):
        inspect(package((name, b"x", FILE)))


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_are_refused(kind: int) -> None:
    with pytest.raises(BadPackageError, match="neither a file nor a folder"):
        inspect(package(("device", b"", kind | 0o666)))


async def test_links_inside_are_kept(tmp_path: Path) -> None:
    data = package(("lib/real.py", b"ok", FILE), ("alias.py", b"lib/real.py", LINK))
    await unpack(data, tmp_path / "code", LIMIT)
    assert (tmp_path / "code/alias.py").read_bytes() == b"ok"


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../../secret", b"lib/../../../x"])
async def test_links_that_leave_are_refused(tmp_path: Path, target: bytes) -> None:
    data = package(("link", target, LINK))
    with pytest.raises(BadPackageError, match="leaves the package"):
        await unpack(data, tmp_path / "code", LIMIT)
    assert list(tmp_path.iterdir()) == []


async def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    data = package(("dir", b"..", LINK), ("dir/evil.py", b"x", FILE))
    with pytest.raises((BadPackageError, OSError)):
        await unpack(data, tmp_path / "code", LIMIT)
    assert not (tmp_path / "evil.py").exists()


async def test_a_directory_that_lies_about_sizes_is_found_out(tmp_path: Path) -> None:
    data = bytearray(package(("big.bin", bytes(500_000), FILE)))
    at = data.rfind(b"PK\x01\x02") + 24  # uncompressed size in the central directory
    data[at : at + 4] = struct.pack("<I", 10)
    assert inspect(bytes(data)) == 10
    with pytest.raises(BadPackageError):
        await unpack(bytes(data), tmp_path / "code", 1000)
    assert list(tmp_path.iterdir()) == []


async def test_more_than_the_limit_is_refused_while_unpacking(tmp_path: Path) -> None:
    data = package(("a", bytes(600), FILE), ("b", bytes(600), FILE))
    with pytest.raises(BadPackageError, match="more than it said"):
        await unpack(data, tmp_path / "code", 1000)
    assert list(tmp_path.iterdir()) == []


def test_empty_and_encrypted_packages_are_refused() -> None:
    with pytest.raises(BadPackageError, match="empty"):
        inspect(package())
    data = bytearray(package(("a", b"x", FILE)))
    data[data.rfind(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadPackageError, match="encrypted"):
        inspect(bytes(data))


@given(st.binary(max_size=300))
def test_junk_is_refused(data: bytes) -> None:
    with pytest.raises(BadPackageError):
        inspect(data)


async def test_a_name_that_is_file_and_folder_is_refused(tmp_path: Path) -> None:
    data = package(("a", b"x", FILE), ("a/b", b"y", FILE))
    with pytest.raises(BadPackageError):
        await unpack(data, tmp_path / "code", LIMIT)


@given(st.data())
def test_damaged_packages_are_refused_or_whole(data: st.DataObject) -> None:
    whole = package(("index.py", b"def handler(e, c): return 1\n" * 20, FILE))
    at = data.draw(st.integers(0, len(whole) - 1))
    damaged = whole[:at] + bytes([data.draw(st.integers(0, 255))]) + whole[at + 1 :]
    try:
        inspect(damaged)
    except BadPackageError:
        return
