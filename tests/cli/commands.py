"""Run `lambent` the way a shell does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LAMBENT = (sys.executable, "-m", "lambent.cli.main")
RUN_S_MAX = 60


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The test's environment, without a terminal's wishes."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TERM")}
    return kept | dict(extra or {})


def lambent(
    *words: str,
    server: Any = None,
    stdin: str = "",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """One command to its end; `server` becomes $AWS_ENDPOINT_URL."""
    variables = environment(env)
    if server is not None:
        variables["AWS_ENDPOINT_URL"] = server.url
    return subprocess.run(
        [*LAMBENT, *words],
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        env=variables,
        cwd=cwd,
        timeout=RUN_S_MAX,
    )
