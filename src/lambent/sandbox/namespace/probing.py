"""Whether the `namespace` level works here: found by doing it in a child, once per server.

Never by version or by capability bits: containers, LSMs and sysctls each forbid it in their own
way. Takes about 20 ms, most of it a Python interpreter's start, because a server with threads must
not fork itself.
"""

import subprocess
from functools import cache

from lambent.sandbox.nurseries import CELL, server_python

_TIMEOUT_S = 5.0


@cache
def why_not() -> str:
    """The reason why environments cannot have name spaces of their own; empty if they can."""
    command = [str(server_python()), "-I", "-S", str(CELL)]
    try:
        done = subprocess.run(  # noqa: S603 - our own program, no shell
            command, env={}, capture_output=True, timeout=_TIMEOUT_S, check=False, text=True
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the attempt failed: {error}"
    if done.returncode != 0:
        return f"the attempt failed: {done.stderr.strip()[-200:]}"
    return done.stdout.strip()
