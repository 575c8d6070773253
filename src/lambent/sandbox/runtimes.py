"""Which interpreters this machine has, and which of them runs a runtime id.

Found by looking at folders and names only (no interpreter is started), lazily, at the first
resolution: about a millisecond. An interpreter below a closed folder (/root/.pyenv) counts when
the nursery can make it visible to unprivileged environments, that is with CAP_SYS_ADMIN.

Provided runtimes need no interpreter. An exact version wins; otherwise the nearest version of the
same language, with a note that the caller tells once; strict resolution refuses instead.
"""

import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from lambent.sandbox.box import Interpreter, Resolution

_RUNTIME = re.compile(r"(python)(\d+)\.(\d+)|(nodejs)(\d+)(?:\.x)?")
_PYTHON = re.compile(r"python(\d+)\.(\d+)")
_VERSION_IN_PATH = re.compile(r"(?:^|[-_/v@])(\d+)\.(\d+)(?:\.(\d+))?(?=$|[-_/+])")
_PYTHON_OLDEST = (3, 8)  # what the nursery and the bootstrap are written for
_NODE_OLDEST = (16,)
_CAP_SYS_ADMIN = 21

_PYTHON_FOLDERS = (
    "~/.pyenv/versions/*/bin",
    "~/.local/share/uv/python/*/bin",
    "~/.asdf/installs/python/*/bin",
    "/opt/python/*/bin",
    "/opt/python*/bin",
    "/opt/homebrew/bin",
)
_NODE_FOLDERS = (
    "~/.nvm/versions/node/*/bin",
    "~/.local/share/fnm/node-versions/*/installation/bin",
    "~/.fnm/node-versions/*/installation/bin",
    "~/.volta/tools/image/node/*/bin",
    "~/.asdf/installs/nodejs/*/bin",
    "/opt/node*/bin",
    "/opt/nodejs/*/bin",
)
_NODE_HEADERS = "include/node/node_version.h"


class UnknownRuntimeError(LookupError):
    """No interpreter here runs this runtime id; the text says which ones were found."""


class Runtimes:
    """The interpreters of this machine.

    `home` and `search_path` (the server's PATH) say where to look; `as_other_user` whether
    environments run as somebody else than the server, who must be able to reach the interpreter.
    """

    def __init__(self, *, home: Path, search_path: str, as_other_user: bool) -> None:
        self._home, self._search_path = home, search_path
        self._as_other_user = as_other_user
        self._found: tuple[Interpreter, ...] | None = None

    def interpreters(self) -> tuple[Interpreter, ...]:
        """All usable interpreters, newest first; the machine is searched once."""
        if self._found is None:
            unique: dict[tuple[str, tuple[int, ...]], Interpreter] = {}
            for found in [*self._pythons(), *self._nodes()]:
                unique.setdefault((found.language, found.version), found)
            usable = (found for found in unique.values() if self._usable(found))
            self._found = tuple(sorted(usable, key=lambda i: (i.language, i.version), reverse=True))
        return self._found

    def resolve(self, runtime: str, *, strict: bool = False) -> Resolution:
        """How `runtime` is run here.

        Errors: UnknownRuntimeError when the id is unknown, nothing of its language was found, or
        `strict` is set and the version is not here.
        """
        if runtime.startswith("provided"):
            return Resolution(runtime, None)
        parsed = _RUNTIME.fullmatch(runtime)
        if parsed is None:
            raise UnknownRuntimeError(f"runtime {runtime} is not known to this server")
        language = parsed[1] or parsed[4]
        wanted = tuple(int(n) for n in (parsed.group(2, 3) if parsed[1] else (parsed[5],)))
        candidates = [i for i in self.interpreters() if i.language == language]
        for found in candidates:
            if found.version[: len(wanted)] == wanted:
                return Resolution(runtime, found)
        here = ", ".join(_name(i) for i in candidates) or "none"
        if strict or not candidates:
            raise UnknownRuntimeError(
                f"no interpreter for {runtime} on this machine (found for {language}: {here})"
            )
        nearest = min(candidates, key=lambda i: _distance(i.version, wanted))
        note = f"{runtime} is not installed here; running it with {_name(nearest)} ({nearest.path})"
        return Resolution(runtime, nearest, note)

    # ---- looking ----

    def _folders(self, patterns: Iterable[str]) -> Iterator[Path]:
        for pattern in patterns:
            path = Path(pattern.replace("~", str(self._home), 1))
            root = Path(path.anchor)
            try:
                yield from sorted(root.glob(str(path.relative_to(root))), reverse=True)
            except OSError:
                continue
        for folder in [*self._search_path.split(":"), "/usr/local/bin", "/usr/bin"]:
            if folder.startswith("/") and not folder.rstrip("/").endswith("/shims"):
                yield Path(folder)

    def _pythons(self) -> Iterator[Interpreter]:
        own = Path(os.path.realpath(sys.executable))
        yield Interpreter("python", tuple(sys.version_info[:3]), own)
        for folder in self._folders(_PYTHON_FOLDERS):
            for name in _names(folder):
                named = _PYTHON.fullmatch(name)
                if named is None:
                    continue
                version = (int(named[1]), int(named[2]))
                if version >= _PYTHON_OLDEST:
                    path = Path(os.path.realpath(folder / name))
                    yield Interpreter("python", _version_in(path, version), path)

    def _nodes(self) -> Iterator[Interpreter]:
        for folder in self._folders(_NODE_FOLDERS):
            if "node" not in _names(folder):
                continue
            path = Path(os.path.realpath(folder / "node"))
            version = _version_in(path, ()) or _node_header_version(path)
            if version >= _NODE_OLDEST:
                yield Interpreter("nodejs", version, path)

    def _usable(self, interpreter: Interpreter) -> bool:
        if not os.access(interpreter.path, os.X_OK):
            return False
        return not self._as_other_user or reachable(interpreter.path) or can_mount()


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _version_in(path: Path, known: tuple[int, ...]) -> tuple[int, ...]:
    """The full version out of a path such as versions/3.12.1/bin, if it agrees with `known`."""
    for found in _VERSION_IN_PATH.finditer(str(path.parent)):
        version = tuple(int(n) for n in found.groups() if n is not None)
        if version[: len(known)] == known:
            return version
    return known


def _node_header_version(path: Path) -> tuple[int, ...]:
    """Node keeps its version in a header that is installed beside it."""
    try:
        text = (path.parents[1] / _NODE_HEADERS).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ()
    parts: Mapping[str, str] = dict(
        re.findall(r"#define NODE_(MAJOR|MINOR|PATCH)_VERSION (\d+)", text)
    )
    names = ("MAJOR", "MINOR", "PATCH")
    return tuple(int(parts[n]) for n in names) if len(parts) == len(names) else ()


def _distance(version: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, int]:
    """Nearest first; of two that are equally far, the newer."""
    place = len(wanted) - 1
    gap = (version[place] if len(version) > place else 0) - wanted[place]
    if version[:place] != wanted[:place]:
        gap += 1_000
    return abs(gap), -gap


def _name(interpreter: Interpreter) -> str:
    return f"{interpreter.language} {'.'.join(map(str, interpreter.version))}"


def reachable(path: Path) -> bool:
    """Whether any user may walk to `path`: every folder above it is open to others."""
    try:
        return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)
    except OSError:
        return False


def can_mount() -> bool:
    """Whether this process holds CAP_SYS_ADMIN (in whatever namespace it is root of)."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return False
    found = re.search(r"^CapEff:\s*([0-9a-f]+)", status, re.MULTILINE)
    return found is not None and bool(int(found[1], 16) >> _CAP_SYS_ADMIN & 1)
