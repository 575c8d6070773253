"""`lambent deploy` against a real server: created, updated, left alone, refused."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import deploy, invoke, lambent
from tests.servers import ThreadServer


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
