"""`lambent tune` against a real server."""

import re
from pathlib import Path

from tests.cli.commands import deploy, lambent
from tests.servers import ThreadServer


def test_each_size_is_measured_on_a_copy(server: ThreadServer, echo: Path) -> None:
    deploy(server, echo, "tuned")
    result = lambent("tune", "tuned", "--sizes", "128,256", "--runs", "2", server=server)
    assert result.returncode == 0, result.stderr
    assert re.findall(r"^ +(\d+) MB +[\d.]+ ms  #+$", result.stdout, re.M) == ["128", "256"]
    assert len(re.findall(r"[\d.]+ USD  \$+$", result.stdout, re.M)) == 2
    assert re.search(r"cheapest at \d+ MB, fastest at \d+ MB", result.stdout)
    functions = server.client("lambda").list_functions()["Functions"]
    left = {function["FunctionName"]: function["MemorySize"] for function in functions}
    assert left["tuned"] == 128
    assert "tuned-tuning" not in left


def test_what_cannot_be_tuned(server: ThreadServer, echo: Path) -> None:
    missing = lambent("tune", "nobody", server=server)
    assert missing.returncode == 1
    assert missing.stderr.startswith("lambent: ResourceNotFoundException: Function not found")
    assert lambent("tune", "x", "--sizes", "big", server=server).returncode == 2
    deploy(server, echo, "fails")
    failing = lambent(
        "tune", "fails", "--event", "-", server=server, stdin='{"fail": "on purpose"}'
    )
    assert failing.returncode == 1
    assert "the function failed at 128 MB" in failing.stderr
    names = [one["FunctionName"] for one in server.client("lambda").list_functions()["Functions"]]
    assert "fails-tuning" not in names
