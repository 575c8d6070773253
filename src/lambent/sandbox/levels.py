"""The isolation ladder: which levels there are, and the one that a server gets.

`namespace` and `microvm` are the next steps of the ladder; until they exist they are refused, never
silently replaced by something weaker.
"""

from pathlib import Path

from lambent.base.errors import StartupError
from lambent.sandbox.box import Sandbox
from lambent.sandbox.process import ProcessSandbox

LEVELS = ("process",)
"""What can be run on, weakest first."""


def open_sandbox(
    isolation: str, *, home: Path, search_path: str, strict_runtimes: bool = False
) -> Sandbox:
    """The sandbox of level `isolation`; `auto` is the strongest that works here.

    `home` and `search_path` say where interpreters are looked for. Nothing is started yet.
    Errors: StartupError.
    """
    if isolation not in ("auto", *LEVELS):
        raise StartupError(
            f"--isolation {isolation} is not available yet: use --isolation process, or auto"
        )
    return ProcessSandbox(home=home, search_path=search_path, strict_runtimes=strict_runtimes)
