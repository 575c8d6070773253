"""AWS's own clients, installed once under build/cache, apart from the project's environment.

The AWS CLI pins a botocore of its own, so it gets a virtual environment; the JavaScript SDK gets a
folder. Both are kept between runs.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CACHE = Path(__file__).resolve().parents[2] / "build" / "cache"
AWSCLI = "awscli==1.46.2"
JS_SDK = "@aws-sdk/client-lambda@3.1162.0"
INSTALL_S_MAX = 600


def aws_cli() -> str:
    """The path of `aws`; skips the test if it cannot be installed."""
    folder = CACHE / "awscli"
    program = folder / "bin" / "aws"
    with _alone():
        if not _usable([str(program), "--version"]):
            shutil.rmtree(folder, ignore_errors=True)
            _install("the AWS CLI", [sys.executable, "-m", "venv", str(folder)])
            _install("the AWS CLI", [str(folder / "bin" / "pip"), "install", "--quiet", AWSCLI])
    return str(program)


def javascript_sdk() -> Path:
    """A folder in which `@aws-sdk/client-lambda` can be imported; skips the test if it cannot."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("the JavaScript SDK needs node and npm (Debian packages: nodejs, npm)")
    folder = CACHE / "javascript-sdk"
    folder.mkdir(parents=True, exist_ok=True)
    check = ["node", "--input-type=module", "-e", 'import "@aws-sdk/client-lambda"']
    with _alone():
        if not _usable(check, cwd=folder):
            (folder / "package.json").write_text(json.dumps({"private": True, "type": "module"}))
            quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
            _install("the JavaScript SDK", ["npm", "install", *quiet, JS_SDK], cwd=folder)
            if not _usable(check, cwd=folder):
                pytest.skip(f"{JS_SDK} does not load: it needs a newer Node.js than the one here")
    return folder


def environment(url: str) -> dict[str, str]:
    """What a user sets: where the server is, and something that looks like credentials."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(CACHE),
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextmanager
def _alone() -> Iterator[None]:
    """One installation at a time, whichever of the test processes comes first."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _usable(command: list[str], **options: Any) -> bool:
    try:
        subprocess.run(command, check=True, capture_output=True, **options)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _install(what: str, command: list[str], **options: Any) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=INSTALL_S_MAX, **options
        )
    except (OSError, subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        reason = (getattr(error, "stderr", "") or str(error)).strip().splitlines()
        pytest.skip(f"{what} cannot be installed: {reason[-1] if reason else 'no reason given'}")
