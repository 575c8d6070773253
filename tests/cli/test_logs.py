"""`lambent logs` against a real server: each event once, now or as it comes."""

import subprocess
from pathlib import Path

from tests.cli.commands import LAMBENT, deploy, environment, invoke, lambent
from tests.servers import ThreadServer


def test_logs_prints_each_event_once(server: ThreadServer, echo: Path) -> None:
    deploy(server, echo, "chatty")
    for number in range(3):
        assert invoke(server, "chatty", "--event", "-", stdin=f'{{"n": {number}}}').returncode == 0
    result = lambent("logs", "chatty", server=server)
    assert result.returncode == 0
    asked = [line for line in result.stdout.splitlines() if "asked" in line]
    assert [line.partition("asked ")[2] for line in asked] == [
        "{'n': 0}", "{'n': 1}", "{'n': 2}",
    ]  # fmt: skip
    assert all(line[:2] == "20" and line[23] == "Z" for line in asked)
    assert lambent("logs", "chatty", "--since", "0s", server=server).stdout == ""
    assert lambent("logs", "chatty", "--since", "soon", server=server).returncode == 2


def test_following_waits_for_what_comes(server: ThreadServer, echo: Path) -> None:
    deploy(server, echo, "followed")
    process = subprocess.Popen(
        # Whoever started the tests may have SIGINT ignored, which is inherited.
        ["env", "--default-signal=INT", *LAMBENT, "logs", "followed", "--follow"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment({"AWS_ENDPOINT_URL": server.url}),
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        for number in range(2):
            invoke(server, "followed", "--event", "-", stdin=f'{{"n": {number}}}')
            wanted = f"asked {{'n': {number}}}"
            assert any(line.rstrip().endswith(wanted) for line in process.stdout)
        process.send_signal(2)
        assert process.wait() == 130
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def test_a_function_without_a_log_is_told(server: ThreadServer) -> None:
    result = lambent("logs", "nothing", server=server)
    assert (result.returncode, result.stdout) == (1, "")
    assert "there is no log of nothing yet" in result.stderr
