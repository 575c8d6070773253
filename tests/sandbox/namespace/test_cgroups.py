"""Control groups: made, filled, read, removed."""

import os
import subprocess
from pathlib import Path

import pytest

from lambent.sandbox.namespace.cgroups import MIB, Cgroups, sweep

NAME = f"lambent-test-{os.getpid()}"


@pytest.fixture
def groups() -> Cgroups:
    made = Cgroups(NAME)
    if not made.parents:
        made.close()
        pytest.skip("no cgroup can be made here")
    return made


def test_a_group_for_each_controller_and_nothing_left(groups: Cgroups) -> None:
    for parent in groups.parents.values():
        assert parent.name == NAME
        (parent / "1").mkdir()
    groups.limit_cpu(1, 1769)
    groups.limit_cpu(2, 1769)  # no such box: nothing happens
    if "cpu" in groups.parents:
        assert (groups.parents["cpu"] / "1" / "cpu.cfs_quota_us").read_text() != "-1\n"
    groups.close()
    assert not [parent for parent in groups.parents.values() if parent.exists()]


def test_memory_is_read_from_the_kernel(groups: Cgroups) -> None:
    if groups.memory_file is None:
        groups.close()
        pytest.skip("no memory cgroup can be made here")
    parent = groups.parents.get("memory") or groups.parents["unified"]
    assert groups.memory(1) is None
    (parent / "1").mkdir()
    memory = groups.memory(1)
    assert memory is not None
    script = "import sys; a = b'x' * 50_000_000; print(flush=True); input()"
    join = f'echo $$ > {parent}/1/cgroup.procs; exec python3 -S -c "{script}"'
    command = ["/bin/sh", "-c", join]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        assert memory.charged_bytes() >= memory.resident_bytes() > 45 * MIB
        child.communicate(b"\n")
    assert not memory.was_exceeded()
    memory.close()
    memory.close()
    assert memory.charged_bytes() == 0
    groups.close()


def test_what_dead_servers_left_is_swept(groups: Cgroups, tmp_path: Path) -> None:
    old = Cgroups(NAME + "-old")
    for parent in old.parents.values():
        (parent / "7").mkdir()
    old.note(tmp_path / "groups")
    sweep(tmp_path / "groups", "another name")
    assert all(p.exists() for p in old.parents.values())
    sweep(tmp_path / "groups", NAME + "-old")
    assert not [p for p in old.parents.values() if p.exists()]
    sweep(tmp_path / "absent", NAME)
    groups.close()
