"""The isolation ladder: which levels there are, and the one that a server gets.

`auto` is the strongest that works here, found by trying. A level that was asked for and does not
work is refused with the reason, never silently replaced by something weaker.
"""

from pathlib import Path

from lambent.base.errors import StartupError
from lambent.sandbox.box import Sandbox
from lambent.sandbox.namespace import NamespaceSandbox
from lambent.sandbox.namespace.probing import why_not
from lambent.sandbox.process import ProcessSandbox

LEVELS = ("process", "namespace")
"""What can be run on, weakest first."""


def strongest() -> str:
    """The level that `auto` is on this machine; tried once per server."""
    return "process" if why_not() else "namespace"


def open_sandbox(
    isolation: str, *, home: Path, search_path: str, strict_runtimes: bool = False
) -> Sandbox:
    """The sandbox of level `isolation`; `auto` is the strongest that works here.

    `home` and `search_path` say where interpreters are looked for. Nothing is started yet.
    Errors: StartupError.
    """
    level = strongest() if isolation == "auto" else isolation
    if level not in LEVELS:
        raise StartupError(
            f"--isolation {level} is not available yet: use --isolation "
            f"{' or '.join(reversed(LEVELS))}, or auto"
        )
    if level == "namespace" and (reason := why_not()):
        raise StartupError(
            f"--isolation namespace does not work here: {reason}; use --isolation process, or auto"
        )
    kind = NamespaceSandbox if level == "namespace" else ProcessSandbox
    return kind(home=home, search_path=search_path, strict_runtimes=strict_runtimes)
