"""Invoke by boto3: answers, errors, logs, and what functions see."""

import base64
import json
import re
import shutil
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers import ThreadServer
from tests.services.lambda_.zips import ROLE, package, python

NODE = shutil.which("node")


@pytest.fixture
def client(server: ThreadServer) -> Any:
    return server.client("lambda")


@pytest.fixture
def deploy(client: Any) -> Callable[..., str]:
    def _deploy(name: str, source: str | bytes, **changes: Any) -> str:
        request = {
            "FunctionName": name,
            "Role": ROLE,
            "Runtime": "python3.12",
            "Handler": "index.handler",
            "Code": {"ZipFile": source if isinstance(source, bytes) else python(source)},
        }
        client.create_function(**(request | changes))
        client.get_waiter("function_active_v2").wait(FunctionName=name)
        return name

    return _deploy


def invoke(client: Any, name: str, event: Any = None, **request: Any) -> tuple[Any, Any]:
    """The decoded payload, and the whole answer."""
    answer = client.invoke(FunctionName=name, Payload=json.dumps(event), **request)
    return json.loads(answer["Payload"].read() or b"null"), answer


def refused(call: Callable[..., Any], **request: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )


def test_an_event_goes_in_and_an_answer_comes_out(client: Any, deploy: Any) -> None:
    deploy("echo", "def handler(event, context):\n    return {'got': event}\n")
    payload, answer = invoke(client, "echo", {"a": [1, "é"]})
    assert payload == {"got": {"a": [1, "é"]}}
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert answer["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/json"
    assert "FunctionError" not in answer


def test_no_payload_is_an_empty_event(client: Any, deploy: Any) -> None:
    deploy("empty", "def handler(event, context):\n    return event\n")
    assert json.loads(client.invoke(FunctionName="empty")["Payload"].read()) == {}


def test_the_context(client: Any, deploy: Any) -> None:
    source = """
    def handler(event, context):
        return {
            "id": context.aws_request_id, "name": context.function_name,
            "version": context.function_version, "arn": context.invoked_function_arn,
            "memory": context.memory_limit_in_mb, "group": context.log_group_name,
            "stream": context.log_stream_name, "left": context.get_remaining_time_in_millis(),
            "client": context.client_context and context.client_context.custom,
        }
    """
    deploy("context", _dedent(source), Timeout=10, MemorySize=256)
    custom = base64.b64encode(json.dumps({"custom": {"k": "v"}}).encode()).decode()
    got, answer = invoke(client, "context", {}, ClientContext=custom)
    assert got.pop("id") == answer["ResponseMetadata"]["RequestId"]
    assert 8_000 < got.pop("left") <= 10_000
    assert re.fullmatch(r"\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}", got.pop("stream"))
    assert got == {
        "name": "context",
        "version": "$LATEST",
        "arn": "arn:aws:lambda:us-east-1:000000000000:function:context",
        "memory": "256",
        "group": "/aws/lambda/context",
        "client": {"k": "v"},
    }


def test_environments_are_reused_and_forget_nothing(client: Any, deploy: Any) -> None:
    source = "n = 0\ndef handler(event, context):\n    global n\n    n += 1\n    return n\n"
    deploy("warm", source)
    assert [invoke(client, "warm")[0] for _ in range(3)] == [1, 2, 3]


def test_an_update_retires_warm_environments(client: Any, deploy: Any) -> None:
    deploy("moved", "def handler(event, context):\n    return 1\n")
    assert invoke(client, "moved")[0] == 1
    new = python("def handler(event, context):\n    return 2\n")
    client.update_function_code(FunctionName="moved", ZipFile=new)
    client.get_waiter("function_updated_v2").wait(FunctionName="moved")
    assert invoke(client, "moved")[0] == 2


def test_a_handler_error(client: Any, deploy: Any) -> None:
    deploy("raises", "def handler(event, context):\n    raise ValueError('bad')\n")
    payload, answer = invoke(client, "raises", LogType="Tail")
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")
    assert (payload["errorType"], payload["errorMessage"]) == ("ValueError", "bad")
    assert payload["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert "in handler" in payload["stackTrace"][0]
    assert "[ERROR] ValueError: bad" in _tail(answer)


def test_an_import_error_is_told_at_the_first_invocation(client: Any, deploy: Any) -> None:
    deploy("import-error", "import does_not_exist\n")
    payload, answer = invoke(client, "import-error", LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Runtime.ImportModuleError"
    assert payload["errorMessage"] == (
        "Unable to import module 'index': No module named 'does_not_exist'"
    )
    assert "Phase: invoke\tStatus: error\tError Type: Runtime.ImportModuleError" in _tail(answer)


def test_a_missing_handler(client: Any, deploy: Any) -> None:
    deploy("no-handler", "x = 1\n")
    payload, _ = invoke(client, "no-handler")
    assert payload["errorType"] == "Runtime.HandlerNotFound"
    assert payload["errorMessage"] == "Handler 'handler' missing on module 'index'"


def test_a_timeout(client: Any, deploy: Any) -> None:
    source = "import time\ndef handler(event, context):\n    time.sleep(60)\n"
    deploy("slow", source, Timeout=1)
    payload, answer = invoke(client, "slow", LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert payload == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"RequestId: {request_id} Error: Task timed out after 1.00 seconds",
    }
    assert "Duration: 1000.00 ms" in _tail(answer)
    assert "Status: timeout" in _tail(answer)


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("os._exit(1)", "Runtime exited with error: exit status 1"),
        ("os._exit(0)", "Runtime exited without providing a reason"),
        ("os.kill(os.getpid(), 9)", "Runtime exited with error: signal: killed"),
        ("sys.exit(3)", "Runtime exited with error: exit status 3"),
    ],
)
def test_a_runtime_that_exits(client: Any, deploy: Any, statement: str, words: str) -> None:
    name = "exits-" + re.sub(r"\W", "", statement)
    deploy(name, f"import os, sys\ndef handler(event, context):\n    {statement}\n")
    payload, answer = invoke(client, name, LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert payload == {
        "errorType": "Runtime.ExitError",
        "errorMessage": f"RequestId: {request_id} Error: {words}",
    }
    assert "Status: error\tError Type: Runtime.ExitError" in _tail(answer)
    assert invoke(client, name)[1]["FunctionError"] == "Unhandled"  # a new environment, again


def test_a_crash_resets_the_environment_and_keeps_its_tmp(client: Any, deploy: Any) -> None:
    deploy("reset", _dedent("""
        import os
        FILE = os.environ.get("TMPDIR", "/tmp") + "/kept"
        count = 0
        def handler(event, context):
            global count
            count += 1
            with open(FILE, "a") as file:
                file.write(event)
            if event == "x":
                os._exit(1)
            return [count, open(FILE).read(), context.log_stream_name]
    """))  # fmt: skip
    first = invoke(client, "reset", "a")[0]
    assert first[:2] == [1, "a"]
    assert invoke(client, "reset", "x")[0]["errorType"] == "Runtime.ExitError"
    assert invoke(client, "reset", "b")[0] == [1, "axb", first[2]]
    assert invoke(client, "reset", "c")[0] == [2, "axbc", first[2]]


def test_memory_has_a_ceiling(client: Any, deploy: Any) -> None:
    source = "def handler(event, context):\n    x = bytearray(600_000_000)\n    return len(x)\n"
    deploy("hungry", source, MemorySize=128, Timeout=20)
    payload, answer = invoke(client, "hungry")
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] in ("Runtime.ExitError", "MemoryError")


def test_the_log_tail_is_the_whole_story(client: Any, deploy: Any) -> None:
    deploy("tail", "def handler(event, context):\n    print('hello from inside')\n", MemorySize=192)
    _, answer = invoke(client, "tail", LogType="Tail")
    request_id = answer["ResponseMetadata"]["RequestId"]
    pattern = (
        rf"START RequestId: {request_id} Version: \$LATEST\n"
        r"hello from inside\n"
        rf"END RequestId: {request_id}\n"
        rf"REPORT RequestId: {request_id}\tDuration: \d+\.\d\d ms\tBilled Duration: \d+ ms\t"
        r"Memory Size: 192 MB\tMax Memory Used: \d+ MB\tInit Duration: \d+\.\d\d ms\t\n"
    )
    assert re.fullmatch(pattern, _tail(answer))
    assert "Init Duration" not in _tail(invoke(client, "tail", LogType="Tail")[1])
    assert "LogResult" not in invoke(client, "tail")[1]


def test_the_log_is_in_cloudwatch_as_soon_as_invoke_has_answered(
    server: ThreadServer, client: Any, deploy: Any
) -> None:
    deploy("logged", "def handler(event, context):\n    print('kept')\n")
    _, answer = invoke(client, "logged")
    logs = server.client("logs")
    events = logs.filter_log_events(logGroupName="/aws/lambda/logged")["events"]
    messages = [event["message"] for event in events]
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert messages[0].startswith("INIT_START Runtime Version: python:3.12.v1\t")
    assert messages[1:4] == [
        f"START RequestId: {request_id} Version: $LATEST\n",
        "kept\n",
        f"END RequestId: {request_id}\n",
    ]
    assert messages[4].startswith(f"REPORT RequestId: {request_id}\tDuration: ")
    assert len(messages) == 5


def test_json_logs(server: ThreadServer, client: Any, deploy: Any) -> None:
    source = """
    import logging
    def handler(event, context):
        logging.getLogger().warning("careful")
        logging.getLogger().info("hidden")
    """
    logging = {"LogFormat": "JSON", "ApplicationLogLevel": "WARN", "LogGroup": "my-group"}
    deploy("json-logs", _dedent(source), LoggingConfig=logging)
    invoke(client, "json-logs")
    events = server.client("logs").filter_log_events(logGroupName="my-group")["events"]
    lines = [json.loads(event["message"]) for event in events]
    kinds = [line.get("type") or line["message"] for line in lines]
    assert kinds == ["platform.initStart", "platform.start", "careful", "platform.report"]
    assert lines[-1]["record"]["metrics"]["memorySizeMB"] == 128


def test_dry_run_runs_nothing(client: Any, deploy: Any) -> None:
    deploy("dry-run", "def handler(event, context):\n    return 1\n")
    answer = client.invoke(FunctionName="dry-run", InvocationType="DryRun")
    assert (answer["StatusCode"], answer["Payload"].read()) == (204, b"")
    assert "ExecutedVersion" not in answer


def test_event_invocations_are_refused_until_they_are_durable(client: Any, deploy: Any) -> None:
    deploy("event", "def handler(event, context):\n    return 1\n")
    status, code, _ = refused(client.invoke, FunctionName="event", InvocationType="Event")
    assert (status, code) == (501, "NotImplemented")


def test_a_payload_that_is_not_json(client: Any, deploy: Any) -> None:
    deploy("strict", "def handler(event, context):\n    return event\n")
    for payload in (b"{", b"x", b'{"a": nope}', b"\xff"):
        status, code, message = refused(client.invoke, FunctionName="strict", Payload=payload)
        assert (status, code) == (400, "InvalidRequestContentException")
        assert message.startswith(
            "Could not parse request body into json: Could not parse payload into json: "
        )


def test_payload_sizes(client: Any, deploy: Any) -> None:
    deploy("sizes", "def handler(event, context):\n    return 'x' * event\n", Timeout=20)
    status, code, message = refused(
        client.invoke, FunctionName="sizes", Payload=json.dumps("x" * 7_000_000)
    )
    assert (status, code) == (413, "RequestTooLargeException")
    assert message == "Request must be smaller than 6291456 bytes for the InvokeFunction operation"
    payload, answer = invoke(client, "sizes", 6_291_554)
    assert len(payload) == 6_291_554
    payload, answer = invoke(client, "sizes", 6_291_555)
    assert answer["FunctionError"] == "Unhandled"
    assert payload == {
        "errorMessage": (
            "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
        ),
        "errorType": "Function.ResponseSizeTooLarge",
    }


def test_what_does_not_exist(client: Any) -> None:
    arn = "arn:aws:lambda:us-east-1:000000000000:function:nobody"
    assert refused(client.invoke, FunctionName="nobody") == (
        404,
        "ResourceNotFoundException",
        f"Function not found: {arn}:$LATEST",
    )
    message = refused(client.invoke, FunctionName="nobody", Qualifier="live")[2]
    assert message == f"Function not found: {arn}:live"


def test_only_its_own_environment_variables(client: Any, deploy: Any) -> None:
    source = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"
    deploy("environ", source, Environment={"Variables": {"MINE": "yes"}})
    variables, _ = invoke(client, "environ")
    assert variables["MINE"] == "yes"
    assert variables["AWS_EXECUTION_ENV"] == "AWS_Lambda_python3.12"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "environ"
    assert variables["_HANDLER"] == "index.handler"
    assert variables["TZ"] == ":UTC"
    assert variables["AWS_ACCESS_KEY_ID"].startswith("ASIA")
    assert not {"HOME", "VIRTUAL_ENV", "PYTEST_CURRENT_TEST"} & variables.keys()


def test_a_function_calls_aws_as_its_role(server: ThreadServer, client: Any, deploy: Any) -> None:
    """Signed by hand, as no SDK is promised inside: who am I?"""
    source = """
    import os, urllib.request
    def handler(event, context):
        scope = f"{os.environ['AWS_ACCESS_KEY_ID']}/20300101/us-east-1/sts/aws4_request"
        auth = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"
        request = urllib.request.Request(
            os.environ["AWS_ENDPOINT_URL"], b"Action=GetCallerIdentity&Version=2011-06-15",
            {"Authorization": auth, "X-Amz-Date": "20300101T000000Z",
             "Content-Type": "application/x-www-form-urlencoded"})
        with urllib.request.urlopen(request) as answer:
            return answer.read().decode()
    """
    deploy("whoami", _dedent(source), Timeout=10)
    payload, _ = invoke(client, "whoami")
    assert "<Arn>arn:aws:sts::000000000000:assumed-role/lambda/whoami</Arn>" in payload


def test_a_shell_script_is_a_runtime(client: Any, deploy: Any) -> None:
    script = """#!/bin/sh
    api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
    while true; do
      head=$(mktemp)
      event=$(curl -sS -LD "$head" "$api/next")
      id=$(grep -Fi Lambda-Runtime-Aws-Request-Id "$head" | tr -d '[:space:]' | cut -d: -f2)
      curl -sS "$api/$id/response" -d "{\\"shell\\": $event}" > /dev/null
    done
    """
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed: the shell runtime needs it")
    code = {"ZipFile": package({"bootstrap": _dedent(script)}, mode=0o755)}
    deploy("shell", b"", Code=code, Runtime="provided.al2023", Handler="any", Timeout=10)
    assert invoke(client, "shell", {"n": 1})[0] == {"shell": {"n": 1}}


def test_a_provided_runtime_without_bootstrap(client: Any, deploy: Any) -> None:
    deploy("no-bootstrap", "x = 1\n", Runtime="provided.al2023", Handler="any")
    payload, answer = invoke(client, "no-bootstrap")
    request_id = answer["ResponseMetadata"]["RequestId"]
    assert payload == {
        "errorType": "Runtime.InvalidEntrypoint",
        "errorMessage": (
            f"RequestId: {request_id} Error: Couldn't find valid bootstrap(s): "
            "[/var/task/bootstrap /opt/bootstrap]"
        ),
    }


@pytest.mark.skipif(NODE is None, reason="Node.js is not installed")
def test_node_functions(client: Any, deploy: Any) -> None:
    source = "exports.handler = async (event) => ({ twice: event.n * 2 });\n"
    code = {"ZipFile": package({"index.js": source})}
    deploy("node", b"", Code=code, Runtime="nodejs20.x", Timeout=10)
    assert invoke(client, "node", {"n": 21})[0] == {"twice": 42}


def test_the_environments_are_shown(server: ThreadServer, client: Any, deploy: Any) -> None:
    deploy("shown", "def handler(event, context):\n    return 1\n")
    invoke(client, "shown")
    with urllib.request.urlopen(f"{server.url}/_lambent/environments") as answer:
        rows = json.loads(answer.read())["environments"]
    row = next(row for row in rows if row["function"] == "shown")
    assert (row["state"], row["version"], row["invocations"]) == ("idle", "$LATEST", 1)
    assert row["memoryLimitMiB"] == 128
    assert row["pid"] > 0


def _tail(answer: Any) -> str:
    return base64.b64decode(answer["LogResult"]).decode()


def _dedent(source: str) -> str:
    lines = source.strip("\n").splitlines()
    first = next((line for line in lines if line.startswith(" ")), "")
    margin = len(first) - len(first.lstrip())
    return "\n".join(line[margin:] if line[:margin].isspace() else line for line in lines) + "\n"
