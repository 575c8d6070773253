"""The data folder has one user at a time, and says what is in the way."""

import subprocess
import sys
from pathlib import Path

import pytest

from lambent.base.errors import StartupError
from lambent.store import open_store
from lambent.store.folder import Folder
from tests.loops import run

HOLDER = """
import sys, pathlib
from lambent.store.folder import Folder
folder = Folder(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_process_is_refused_by_name(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(StartupError, match=f"in use by process {holder.pid}: stop"):
            run(open_store(tmp_path))
        holder.kill()
    folder = Folder(tmp_path)  # the lock went with its process
    with pytest.raises(StartupError, match="in use"):
        Folder(tmp_path)
    folder.release()
    Folder(tmp_path).release()


def test_a_folder_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/lambent")):
        with pytest.raises(StartupError, match=r"cannot be used .*: make it a folder"):
            Folder(place)


def test_a_temporary_folder_goes_on_release() -> None:
    folder = Folder(None)
    assert folder.temporary.is_dir()
    assert folder.database is None
    folder.release()
    folder.release()
    assert not folder.root.exists()
