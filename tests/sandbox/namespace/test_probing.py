"""Whether name spaces work is tried, not guessed."""

import os
import shutil
import subprocess

import pytest

from lambent.sandbox.namespace.probing import why_not
from lambent.sandbox.nurseries import CELL, server_python


def test_the_answer_is_a_reason_or_nothing() -> None:
    assert why_not() == why_not()
    assert "\n" not in why_not()


def test_who_may_not_is_told_why() -> None:
    if os.getuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root, and setpriv to give it up")
    command = ["setpriv", "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin"]
    done = subprocess.run(
        [*command, server_python(), "-I", "-S", CELL], capture_output=True, text=True, check=True
    )
    assert done.stdout == "unshare: Operation not permitted\n"
