"""`lambent invoke` against a real server: results, logs and failures where they belong."""

import json
from pathlib import Path

from tests.cli.commands import ARN, deploy, invoke
from tests.servers import ThreadServer


def test_the_event_comes_from_a_file_or_stdin(
    server: ThreadServer, echo: Path, tmp_path: Path
) -> None:
    deploy(server, echo, "events")
    (tmp_path / "event.json").write_text('{"from": "file"}')
    by_file = invoke(server, "events", "--event", str(tmp_path / "event.json"))
    assert json.loads(by_file.stdout)["event"] == {"from": "file"}
    by_stdin = invoke(server, "events", "--event", "-", stdin='{"from": "stdin"}')
    assert json.loads(by_stdin.stdout)["event"] == {"from": "stdin"}
    missing = invoke(server, "events", "--event", str(tmp_path / "none.json"))
    assert (missing.returncode, missing.stdout) == (2, "")
    assert "cannot read" in missing.stderr
    junk = invoke(server, "events", "--event", "-", stdin="{")
    assert junk.returncode == 1
    assert junk.stderr.startswith("lambent: InvalidRequestContentException: ")


def test_the_log_goes_to_stderr_on_request(server: ThreadServer, echo: Path) -> None:
    deploy(server, echo, "logged")
    result = invoke(server, "logged", "--log")
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert any(line.startswith("START RequestId: ") for line in lines)
    assert "asked {}" in lines
    assert any(line.startswith("REPORT RequestId: ") for line in lines)
    assert "\x1b" not in result.stderr


def test_a_function_that_fails_is_status_1(server: ThreadServer, echo: Path) -> None:
    deploy(server, echo, "failing")
    result = invoke(server, "failing", "--event", "-", stdin='{"fail": "on purpose"}')
    assert result.returncode == 1
    assert json.loads(result.stdout)["errorMessage"] == "on purpose"
    assert result.stderr == "lambent: the function failed: Unhandled\n"


def test_what_is_not_there_is_told_in_awss_words(server: ThreadServer) -> None:
    result = invoke(server, "nothing")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"lambent: ResourceNotFoundException: Function not found: {ARN}nothing:$LATEST\n"
    )


def test_a_qualifier_is_passed_on(server: ThreadServer, echo: Path) -> None:
    deploy(server, echo, "qualified")
    client = server.client("lambda")
    assert client.publish_version(FunctionName="qualified")["Version"] == "1"
    assert invoke(server, "qualified", "--qualifier", "1").returncode == 0
    assert invoke(server, "qualified", "--qualifier", "2").returncode == 1
