"""The isolation ladder: which levels there are, and the one that a server gets.

A level that was asked for and does not work is refused with the reason, never silently replaced by
something weaker. `auto` is the strongest level that gives a function all that AWS gives it: the
namespace level isolates, but has no outbound network yet, so it is chosen by name only.

A level's module is loaded when it is chosen, by its name in `LEVELS`: a server runs one of them and
must be ready in a quarter of a second.
"""

import importlib
from pathlib import Path
from typing import Any, cast

from lambent.base.errors import StartupError
from lambent.sandbox.box import Sandbox

LEVELS = {
    "process": ("lambent.sandbox.process", "ProcessSandbox"),
    "namespace": ("lambent.sandbox.namespace.level", "NamespaceSandbox"),
    "microvm": ("lambent.sandbox.microvm.sandbox", "MicrovmSandbox"),
}
"""What can be run on, weakest first: module and class."""

AUTO = "process"


def why_not(level: str, *, home: Path, search_path: str) -> str:
    """Why `level` cannot be used on this machine; empty if it can."""
    if level == "namespace":
        return str(importlib.import_module("lambent.sandbox.namespace.probing").why_not())
    if level == "microvm":
        probing = importlib.import_module("lambent.sandbox.microvm.probing")
        return "; ".join(probing.lacking(home / probing.IMAGE_FOLDER, search_path))
    return ""


def sandbox_of(level: str, **options: Any) -> Any:
    """The sandbox of a level, as its own class makes it; nothing is started yet."""
    module, name = LEVELS[level]
    return getattr(importlib.import_module(module), name)(**options)


def open_sandbox(
    isolation: str, *, home: Path, search_path: str, strict_runtimes: bool = False
) -> Sandbox:
    """The sandbox of level `isolation`, or of the one that `auto` is.

    `home` and `search_path` say where interpreters are looked for. Nothing is started yet.
    Errors: StartupError.
    """
    level = AUTO if isolation == "auto" else isolation
    if reason := why_not(level, home=home, search_path=search_path):
        raise StartupError(
            f"--isolation {level} does not work here: {reason}; use --isolation process, or auto"
        )
    options = {"home": home, "search_path": search_path, "strict_runtimes": strict_runtimes}
    return cast(Sandbox, sandbox_of(level, **options))
