"""The table of contents: what is there, what is not yet, what is wrong usage."""

import subprocess
import sys

import pytest

from lambent.cli.main import NOT_YET, VERBS
from tests.cli.commands import LAMBENT, environment, lambent


def test_help_lists_every_verb() -> None:
    result = lambent("--help")
    assert result.returncode == 0
    assert all(f"    {verb} " in result.stdout for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_help(verb: str) -> None:
    result = lambent(verb, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: lambent {verb}")
    assert VERBS[verb].help.capitalize() in result.stdout


@pytest.mark.parametrize("verb", NOT_YET)
def test_what_is_not_built_says_so(verb: str) -> None:
    result = lambent(verb, "whatever", "--option")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("lambent: not yet:")


def test_wrong_usage_is_status_2() -> None:
    assert lambent().returncode == 2
    assert lambent("sing").returncode == 2
    assert lambent("invoke").returncode == 2
    assert lambent("serve", "--colour", "red").returncode == 2


def test_a_reader_that_goes_away_is_no_error() -> None:
    process = subprocess.Popen(
        [*LAMBENT, "doctor", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 0


def test_serve_loads_no_other_verb() -> None:
    code = (
        "import sys, lambent.cli.main as m; m.parser(['serve']);"
        "print([n for n in sys.modules if n.startswith('lambent.cli.') or n == 'http.client'])"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    ).stdout
    assert "lambent.cli.serve" in loaded
    assert "http.client" not in loaded
    assert not [verb for verb in VERBS if verb != "serve" and f"lambent.cli.{verb}'" in loaded]
