"""The tour in README.md works as it is printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ThreadServer
from tests.system.clients import aws_cli, environment

pytestmark = pytest.mark.timeout(900)  # a first run installs the AWS CLI

README = Path(__file__).resolve().parents[2] / "README.md"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_every_block_of_the_tour_runs(server: ThreadServer, tmp_path: Path) -> None:
    tour = README.read_text(encoding="utf-8").partition("## A tour")[2].partition("\n## ")[0]
    blocks = BLOCK.findall(tour)
    assert [language for language, _ in blocks] == ["", "python", ""]
    programs = [str(Path(aws_cli()).parent), str(Path(sys.executable).parent)]
    variables = environment(server.url)
    variables["PATH"] = ":".join([*programs, variables["PATH"]])
    shown = [run(language, text, server.url, variables, tmp_path) for language, text in blocks]
    assert '{"sum": 3}' in shown[0]
    assert "REPORT RequestId" in shown[0]
    assert shown[1] == "{'sum': 5}\n"
    assert '{"sum": 3}' in shown[2]


def run(language: str, text: str, url: str, variables: dict[str, str], folder: Path) -> str:
    text = text.replace("http://127.0.0.1:4566", url).replace(".venv/bin/lambent", "lambent")
    command = [sys.executable, "-c", text] if language else ["bash", "-euc", text]
    result = subprocess.run(
        command, cwd=folder, env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout
