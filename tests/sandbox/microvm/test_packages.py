"""What apt says, and what is taken out of a package."""

import io
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from lambent.sandbox.microvm.packages import (
    PackageError,
    dependencies,
    merge_usr,
    run,
    unpack,
)

LISTING = """python3
  PreDepends: python3-minimal
  Depends: python3.11
 |Depends: first
  Depends: second
  Depends: <virtual>
    provider
python3.11
  Depends: libc6:amd64
libc6
"""


def test_of_alternatives_the_first() -> None:
    assert dependencies(LISTING) == {
        "python3": ["python3-minimal", "python3.11", "first"],
        "python3.11": ["libc6"],
        "libc6": [],
    }


def a_package(folder: Path, names: dict[str, bytes | str]) -> Path:
    """A .deb, made by hand: names -> content, or the target of a link."""
    if shutil.which("dpkg-deb") is None or shutil.which("ar") is None:
        pytest.skip("no dpkg-deb or ar on this machine")
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as tar:
        for name, content in names.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size, entry.mode = len(content), 0o4755
                tar.addfile(entry, io.BytesIO(content))
    control = io.BytesIO()
    with tarfile.open(fileobj=control, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("./control"))
    members = {"debian-binary": b"2.0\n", "control.tar.gz": control.getvalue(),
               "data.tar.gz": data.getvalue()}  # fmt: skip
    for name, content in members.items():
        (folder / name).write_bytes(content)
    subprocess.run(["ar", "rc", "x.deb", *members], cwd=folder, check=True)
    return folder / "x.deb"


def test_unpacking_leaves_out_and_merges(tmp_path: Path) -> None:
    names: dict[str, bytes | str] = {
        "./bin/tool": b"12345",
        "./usr/share/doc/tool/readme": b"x",
        "./usr/lib/python3.11/test/test_x.py": b"x",
        "./usr/lib/link": "target",
    }
    tree = tmp_path / "tree"
    assert unpack(a_package(tmp_path, names), tree) == 5
    merge_usr(tree)
    assert (tree / "usr/bin/tool").read_bytes() == b"12345"
    assert (tree / "usr/bin/tool").stat().st_mode & 0o7777 == 0o755
    assert (tree / "bin").is_symlink()
    assert (tree / "usr/lib/link").is_symlink()
    assert not (tree / "usr/share/doc").exists()
    assert not (tree / "usr/lib/python3.11").exists()


def test_nothing_leaves_the_tree(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="leaves the tree"):
        unpack(a_package(tmp_path, {"../evil": b"x"}), tmp_path / "tree")


def test_a_failing_program_is_an_error_with_its_words() -> None:
    with pytest.raises(PackageError, match="is not installed"):
        run(["no-such-program"])
    with pytest.raises(PackageError, match="why"):
        run(["sh", "-c", "echo why >&2; exit 1"])
