"""`deploy`, `invoke` and `logs` against a real server, as a person would use them."""

import json
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import LAMBENT, environment, lambent
from tests.servers import ThreadServer

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


def deploy(server: ThreadServer, path: Path, name: str, *more: str) -> str:
    result = lambent("deploy", str(path), "--name", name, *more, server=server)
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{ARN}{name}\n"
    return result.stderr


def invoke(server: ThreadServer, name: str, *more: str, stdin: str = "") -> Any:
    return lambent("invoke", name, *more, server=server, stdin=stdin)


def test_a_function_is_created_updated_and_left_alone(server: ThreadServer, echo: Path) -> None:
    told = deploy(server, echo, "life").splitlines()
    assert told[-1].startswith("created life: python3.")
    result = invoke(server, "life")
    assert result.returncode == 0
    assert json.loads(result.stdout) == {"event": {}, "word": None, "memory": "128"}
    assert result.stderr == ""
    assert deploy(server, echo, "life").startswith("unchanged life")
    more = ("--env", "WORD=a=b", "--memory", "256", "--timeout", "9")
    assert deploy(server, echo, "life", *more).startswith("updated life")
    assert json.loads(invoke(server, "life").stdout)["word"] == "a=b"
    assert deploy(server, echo, "life", *more).startswith("unchanged life")
    app = echo / "app.py"
    app.write_text(app.read_text().replace("'event': event", "'changed': event"))
    assert deploy(server, echo, "life").startswith("updated life")
    assert json.loads(invoke(server, "life").stdout) == {
        "changed": {}, "word": "a=b", "memory": "256",
    }  # fmt: skip
    configuration = server.client("lambda").get_function_configuration(FunctionName="life")
    assert configuration["Timeout"] == 9
    assert configuration["Role"] == "arn:aws:iam::000000000000:role/lambent-deploy"


def test_single_files_and_zips_are_deployed(server: ThreadServer, echo: Path) -> None:
    deploy(server, echo / "app.py", "by-file")
    with zipfile.ZipFile(echo / "made.zip", "w") as archive:
        archive.write(echo / "app.py", "app.py")
    deploy(server, echo / "made.zip", "by-zip", "--handler", "app.handler")
    digests = {
        server.client("lambda").get_function_configuration(FunctionName=name)["CodeSha256"]
        for name in ("by-file", "by-zip")
    }
    assert len(digests) == 2
    for name in ("by-file", "by-zip"):
        assert invoke(server, name).returncode == 0


def test_account_and_region_are_honoured(server: ThreadServer, echo: Path) -> None:
    where = ("--account", "111122223333", "--region", "eu-west-1")
    result = lambent("deploy", str(echo), "--name", "elsewhere", *where, server=server)
    assert result.stdout == "arn:aws:lambda:eu-west-1:111122223333:function:elsewhere\n"
    assert invoke(server, "elsewhere", *where).returncode == 0
    assert invoke(server, "elsewhere").returncode == 1
    there = server.client("lambda", account="111122223333", region="eu-west-1")
    role = there.get_function_configuration(FunctionName="elsewhere")["Role"]
    assert role.startswith("arn:aws:iam::111122223333:role/")


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
    logs = lambent("logs", "nothing", server=server)
    assert logs.returncode == 1
    assert "there is no log of nothing yet" in logs.stderr


def test_a_qualifier_is_passed_on(server: ThreadServer, echo: Path) -> None:
    deploy(server, echo, "qualified")
    client = server.client("lambda")
    assert client.publish_version(FunctionName="qualified")["Version"] == "1"
    assert invoke(server, "qualified", "--qualifier", "1").returncode == 0
    assert invoke(server, "qualified", "--qualifier", "2").returncode == 1


def test_awss_refusals_reach_the_user(server: ThreadServer, echo: Path) -> None:
    result = lambent("deploy", str(echo), "--name", "x" * 65, server=server)
    assert result.returncode == 1
    assert result.stderr.startswith("lambent: ")
    bad = lambent("deploy", str(echo), "--name", "bad", "--runtime", "cobol60", server=server)
    assert bad.returncode == 1
    assert "cobol60" in bad.stderr
    assert "at 'runtime' failed to satisfy constraint" in bad.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["template.yaml"], "templates are not deployed yet"),
        (["app.py", "--env", "NOVALUE"], "--env takes NAME=VALUE"),
        (["app.py", "--memory", "much"], "invalid int value"),
    ],
)
def test_wrong_usage_reaches_no_server(echo: Path, words: list[str], says: str) -> None:
    (echo / "template.yaml").write_text("Resources: {}")
    result = lambent("deploy", *words, cwd=echo, env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert (result.returncode, result.stdout) == (2, "")
    assert says in result.stderr


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
        [*LAMBENT, "logs", "followed", "--follow"],
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


def test_an_enforcing_server_takes_its_own_credentials_file(
    lambent_process: Any, echo: Path, tmp_path: Path
) -> None:
    server = lambent_process("--auth", "enforce", data=tmp_path / "data")
    refused = lambent("invoke", "any", server=server)
    assert refused.returncode == 1
    assert refused.stderr.startswith("lambent: ")
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "data" / "credentials")}
    deployed = lambent("deploy", str(echo), "--name", "signed", server=server, env=env)
    assert deployed.returncode == 0, deployed.stderr
    assert lambent("invoke", deployed.stdout.strip(), server=server, env=env).returncode == 0
