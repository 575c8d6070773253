"""Which interpreter runs what, on machines made of folders."""

from pathlib import Path

import pytest

from lambent.sandbox.box import Interpreter
from lambent.sandbox.runtimes import Runtimes, UnknownRuntimeError, can_mount, reachable


def machine(home: Path, *binaries: str) -> Runtimes:
    for name in binaries:
        file = home / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"\x7fELF")
        file.chmod(0o755)
    found = Runtimes(home=home, search_path="", as_other_user=False)
    inside = [i for i in found.interpreters() if i.path.is_relative_to(home)]
    found._found = tuple(inside)  # what the testing machine itself has is not part of the test
    return found


VERSIONS = (
    ".pyenv/versions/3.10.4/bin/python3.10",
    ".pyenv/versions/3.12.1/bin/python3.12",
    ".pyenv/versions/2.7.18/bin/python2.7",
    ".pyenv/versions/3.7.1/bin/python3.7",
    ".local/share/uv/python/cpython-3.13.2-linux-x86_64-gnu/bin/python3.13",
    ".nvm/versions/node/v18.2.0/bin/node",
    ".nvm/versions/node/v22.11.0/bin/node",
    ".nvm/versions/node/v14.1.0/bin/node",
)


def test_versions_are_read_from_names(tmp_path: Path) -> None:
    found = machine(tmp_path, *VERSIONS).interpreters()
    assert [(i.language, i.version) for i in found] == [
        ("python", (3, 13, 2)),
        ("python", (3, 12, 1)),
        ("python", (3, 10, 4)),
        ("nodejs", (22, 11, 0)),
        ("nodejs", (18, 2, 0)),
    ]


@pytest.mark.parametrize(
    ("runtime", "version", "exact"),
    [
        ("python3.12", (3, 12, 1), True),
        ("python3.11", (3, 12, 1), False),
        ("python3.8", (3, 10, 4), False),
        ("python3.14", (3, 13, 2), False),
        ("nodejs22.x", (22, 11, 0), True),
        ("nodejs20.x", (22, 11, 0), False),
        ("nodejs12.x", (18, 2, 0), False),
    ],
)
def test_exact_first_then_the_nearest_with_a_note(
    tmp_path: Path, runtime: str, version: tuple[int, ...], exact: bool
) -> None:
    runtimes = machine(tmp_path, *VERSIONS)
    resolution = runtimes.resolve(runtime)
    assert resolution.interpreter is not None
    assert resolution.interpreter.version == version
    assert (not resolution.note) == exact
    if not exact:
        assert runtime in resolution.note
        assert str(resolution.interpreter.path) in resolution.note
        with pytest.raises(UnknownRuntimeError, match="found for"):
            runtimes.resolve(runtime, strict=True)


@pytest.mark.parametrize("runtime", ["java21", "python", "python3", "nodejs", "", "ruby3.3"])
def test_unknown_runtimes_are_refused(tmp_path: Path, runtime: str) -> None:
    with pytest.raises(UnknownRuntimeError):
        machine(tmp_path, *VERSIONS).resolve(runtime)


def test_no_interpreter_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnknownRuntimeError, match="none"):
        machine(tmp_path).resolve("nodejs20.x")


@pytest.mark.parametrize("runtime", ["provided.al2", "provided.al2023"])
def test_provided_runtimes_need_no_interpreter(tmp_path: Path, runtime: str) -> None:
    assert machine(tmp_path).resolve(runtime).interpreter is None


def test_the_servers_own_interpreter_is_always_there(tmp_path: Path) -> None:
    found = Runtimes(home=tmp_path, search_path="", as_other_user=False).interpreters()
    assert any(isinstance(i, Interpreter) and i.language == "python" for i in found)


def test_reachable_means_open_to_others_all_the_way(tmp_path: Path) -> None:
    assert reachable(Path("/usr/bin/env"))
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert not reachable(closed / "inside")
    assert not reachable(tmp_path / "absent" / "inside" / "more")
    assert isinstance(can_mount(), bool)
