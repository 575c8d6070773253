"""Folders that only their environments can read, and what a killed server leaves."""

import os
import stat
from pathlib import Path

import pytest

from lambent.sandbox.box import LaunchError
from lambent.sandbox.folders import Folders, Identities, remove
from tests.sandbox.support import needs_root


def test_layout_and_modes(tmp_path: Path) -> None:
    folders = Folders(tmp_path, as_other_user=False)
    modes = {f.name: stat.S_IMODE(f.stat().st_mode) for f in folders.root.iterdir()}
    assert modes == {"lock": 0o600, "code": 0o711, "runtime": 0o755, "env": 0o711}
    assert stat.S_IMODE(folders.root.stat().st_mode) == 0o711
    assert (folders.runtime / "node.mjs").exists()
    one, two = (folders.make_private("1", None) for _ in range(2))
    assert one != two
    assert stat.S_IMODE(one.stat().st_mode) == 0o700
    folders.close()
    assert not folders.root.exists()


def test_only_abandoned_folders_are_swept(tmp_path: Path) -> None:
    abandoned = Folders(tmp_path, as_other_user=False)
    os.close(abandoned._lock)  # as a killed server's end would
    alive, folders = (Folders(tmp_path, as_other_user=False) for _ in range(2))
    (tmp_path / "lambent-box-no-lock").mkdir()
    folders.sweep()
    assert not abandoned.root.exists()
    assert alive.root.exists()
    assert (tmp_path / "lambent-box-no-lock").exists()
    alive.close()
    folders.close()


def test_no_parent_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="absent"):
        Folders(tmp_path / "absent", as_other_user=False)


def test_what_a_function_made_unreadable_is_removed(tmp_path: Path) -> None:
    inner = tmp_path / "box" / "closed"
    inner.mkdir(parents=True)
    (inner / "file").write_text("x")
    inner.chmod(0o000)
    remove(tmp_path / "box")
    assert not (tmp_path / "box").exists()


def test_uids_are_never_shared_and_go_round() -> None:
    identities = Identities()
    taken = [identities.take() for _ in range(100)]
    assert len(set(taken)) == 100
    first, count = identities.killers
    assert not set(range(first, first + count)) & set(taken)
    identities.give_back(taken[0])
    assert identities.take() not in taken  # not used again soon


@needs_root
def test_code_belongs_to_root_and_a_group_of_its_own(tmp_path: Path) -> None:
    identities = Identities()
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    gid = identities.admit(one)
    assert gid == identities.admit(one) != identities.admit(two)
    found = one.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, gid, 0o750)
    one.chmod(0o777)
    identities.admit(one)
    assert stat.S_IMODE(one.stat().st_mode) == 0o750
