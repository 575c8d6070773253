"""Run `lambent` the way a shell does."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

LAMBENT = (sys.executable, "-m", "lambent.cli.main")
RUN_S_MAX = 60
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


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


def deploy(server: Any, path: Path, name: str, *more: str) -> str:
    """Deploy and check that it went well; what was said on stderr."""
    result = lambent("deploy", str(path), "--name", name, *more, server=server)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{ARN}{name}\n"
    return result.stderr


def invoke(server: Any, name: str, *more: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Invoke, however it ends."""
    return lambent("invoke", name, *more, server=server, stdin=stdin)
