"""AWS's own clients manage a function with nothing but AWS_ENDPOINT_URL.

Create, get, invoke, update, delete, by the AWS CLI, boto3 and the JavaScript SDK: each as its users
write it, with its own waiters.
"""

import io
import json
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.servers import ThreadServer
from tests.system.clients import aws_cli, environment, javascript_sdk

pytestmark = pytest.mark.timeout(900)  # a first run installs the clients

ROLE = "arn:aws:iam::000000000000:role/any"
FIRST = "def handler(event, context):\n    return {'version': 1, 'event': event}\n"
SECOND = FIRST.replace("1", "2")


def zipped(source: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("app.py", source)
    return buffer.getvalue()


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """A folder with first.zip and second.zip."""
    (tmp_path / "first.zip").write_bytes(zipped(FIRST))
    (tmp_path / "second.zip").write_bytes(zipped(SECOND))
    return tmp_path


class Aws:
    """The AWS CLI in a folder."""

    def __init__(self, url: str, folder: Path) -> None:
        self._program, self._environment, self._folder = aws_cli(), environment(url), folder

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *words],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, *words: str) -> Any:
        """What the command prints, as JSON."""
        result = self.run(*words)
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout or "null")


def test_the_aws_cli(server: ThreadServer, packages: Path) -> None:
    aws = Aws(server.url, packages)
    name = ("--function-name", "by-cli")
    created = aws(
        "lambda", "create-function", *name, "--runtime", "python3.12", "--role", ROLE,
        "--handler", "app.handler", "--zip-file", "fileb://first.zip",
    )  # fmt: skip
    assert created["FunctionArn"] == "arn:aws:lambda:us-east-1:000000000000:function:by-cli"
    aws("lambda", "wait", "function-active-v2", *name)
    assert aws("lambda", "get-function", *name)["Configuration"]["State"] == "Active"
    payload = ("--payload", '{"n": 1}')
    told = aws("lambda", "invoke", *name, *payload, "--log-type", "Tail", "out.json")
    assert (told["StatusCode"], "FunctionError" in told) == (200, False)
    assert json.loads((packages / "out.json").read_text()) == {"version": 1, "event": {"n": 1}}
    aws("lambda", "update-function-code", *name, "--zip-file", "fileb://second.zip")
    aws("lambda", "wait", "function-updated-v2", *name)
    aws("lambda", "update-function-configuration", *name, "--timeout", "7")
    aws("lambda", "wait", "function-updated-v2", *name)
    aws("lambda", "invoke", *name, *payload, "out.json")
    assert json.loads((packages / "out.json").read_text())["version"] == 2
    listed = aws("lambda", "list-functions")["Functions"]
    assert [one["Timeout"] for one in listed if one["FunctionName"] == "by-cli"] == [7]
    aws("lambda", "delete-function", *name)
    gone = aws.run("lambda", "get-function", *name)
    assert gone.returncode != 0
    assert "ResourceNotFoundException" in gone.stderr


@pytest.fixture
def plain_boto3(server: ThreadServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """boto3 as users have it: all defaults, everything from the environment."""
    for name, value in environment(server.url).items():
        monkeypatch.setenv(name, value)
    client = boto3.session.Session().client("lambda")
    yield client
    client.close()


def test_boto3(plain_boto3: Any) -> None:
    client = plain_boto3
    name = {"FunctionName": "by-boto3"}
    client.create_function(
        **name, Runtime="python3.12", Role=ROLE, Handler="app.handler",
        Code={"ZipFile": zipped(FIRST)},
    )  # fmt: skip
    client.get_waiter("function_active_v2").wait(**name)
    assert client.get_function(**name)["Configuration"]["State"] == "Active"
    answer = client.invoke(**name, Payload=b'{"n": 1}')
    with answer["Payload"] as payload:
        assert json.load(payload) == {"version": 1, "event": {"n": 1}}
    client.update_function_code(**name, ZipFile=zipped(SECOND))
    client.get_waiter("function_updated_v2").wait(**name)
    client.update_function_configuration(**name, Timeout=7)
    client.get_waiter("function_updated_v2").wait(**name)
    with client.invoke(**name)["Payload"] as payload:
        assert json.load(payload) == {"version": 2, "event": {}}
    listed = client.get_paginator("list_functions").paginate().build_full_result()["Functions"]
    assert [one["Timeout"] for one in listed if one["FunctionName"] == "by-boto3"] == [7]
    client.delete_function(**name)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_function(**name)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.invoke(**name)


JAVASCRIPT = """
import { readFileSync } from "node:fs";
import {
  LambdaClient, CreateFunctionCommand, GetFunctionCommand, InvokeCommand, DeleteFunctionCommand,
  UpdateFunctionCodeCommand, UpdateFunctionConfigurationCommand, paginateListFunctions,
  waitUntilFunctionActiveV2, waitUntilFunctionUpdatedV2, ResourceNotFoundException,
} from "@aws-sdk/client-lambda";

const [folder, role] = process.argv.slice(-2);
const client = new LambdaClient();
const name = { FunctionName: "by-javascript" };
const waiting = { client, maxWaitTime: 60, minDelay: 1 };
const zip = (file) => ({ ZipFile: readFileSync(`${folder}/${file}.zip`) });
const invoke = async (event) => {
  const answer = await client.send(new InvokeCommand({ ...name, Payload: JSON.stringify(event) }));
  return JSON.parse(answer.Payload.transformToString());
};

const told = {};
const created = await client.send(new CreateFunctionCommand({
  ...name, Runtime: "python3.12", Role: role, Handler: "app.handler", Code: zip("first"),
}));
told.arn = created.FunctionArn;
await waitUntilFunctionActiveV2(waiting, name);
told.state = (await client.send(new GetFunctionCommand(name))).Configuration.State;
told.first = await invoke({ n: 1 });
await client.send(new UpdateFunctionCodeCommand({ ...name, ...zip("second") }));
await waitUntilFunctionUpdatedV2(waiting, name);
await client.send(new UpdateFunctionConfigurationCommand({ ...name, Timeout: 7 }));
await waitUntilFunctionUpdatedV2(waiting, name);
told.second = await invoke({});
told.timeouts = [];
for await (const page of paginateListFunctions({ client }, {})) {
  for (const one of page.Functions) {
    if (one.FunctionName === name.FunctionName) told.timeouts.push(one.Timeout);
  }
}
await client.send(new DeleteFunctionCommand(name));
told.gone = await client.send(new GetFunctionCommand(name)).then(
  () => "still there", (error) => error instanceof ResourceNotFoundException);
console.log(JSON.stringify(told));
"""


def test_the_javascript_sdk(server: ThreadServer, packages: Path) -> None:
    result = subprocess.run(
        ["node", "--input-type=module", "-e", JAVASCRIPT, "--", str(packages), ROLE],
        cwd=javascript_sdk(),
        env=environment(server.url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:by-javascript",
        "state": "Active",
        "first": {"version": 1, "event": {"n": 1}},
        "second": {"version": 2, "event": {}},
        "timeouts": [7],
        "gone": True,
    }
