"""Extensions as functions bring them: an internal one in a provided runtime, by boto3."""

import base64
import json
from typing import Any

import pytest

from tests.sandbox.extensions.support import python
from tests.servers import ThreadServer
from tests.services.lambda_.zips import ROLE, package

BOOTSTRAP = """#!{python}
import json, os, sys, threading, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
def call(method, path, data=None, **headers):
    headers = {{k.replace("_", "-"): v for k, v in headers.items()}}
    request = urllib.request.Request(API + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, answer.read()
headers, about = call("POST", "/2020-01-01/extension/register", b'{{"events": ["INVOKE"]}}',
    Lambda_Extension_Name="inner", Lambda_Extension_Accept_Feature="accountId")
me = {{"Lambda_Extension_Identifier": headers["Lambda-Extension-Identifier"]}}
done = threading.Event()
def events():
    while True:
        _, event = call("GET", "/2020-01-01/extension/event/next", **me)
        done.wait()
        done.clear()
        print("inner saw", json.loads(event)["requestId"], flush=True)
threading.Thread(target=events, daemon=True).start()
while True:
    headers, body = call("GET", "/2018-06-01/runtime/invocation/next")
    path = "/2018-06-01/runtime/invocation/%s/" % headers["Lambda-Runtime-Aws-Request-Id"]
    if body == b'"fail"':
        kind = {{"Lambda_Extension_Function_Error_Type": "Extension.Tired"}}
        call("POST", "/2020-01-01/extension/exit/error", b"{{}}", **me, **kind)
    call("POST", path + "response", about)
    done.set()
"""


@pytest.fixture
def name(server: ThreadServer) -> str:
    client = server.client("lambda")
    client.create_function(
        FunctionName="extended",
        Role=ROLE,
        Runtime="provided.al2023",
        Handler="any",
        Code={"ZipFile": package({"bootstrap": BOOTSTRAP.format(python=python())}, mode=0o755)},
    )
    client.get_waiter("function_active_v2").wait(FunctionName="extended")
    return "extended"


def test_an_invocation_lasts_until_the_extension_is_done(server: ThreadServer, name: str) -> None:
    client = server.client("lambda")

    def invoke(event: str) -> tuple[Any, Any, str]:
        answer = client.invoke(FunctionName=name, LogType="Tail", Payload=json.dumps(event))
        log = base64.b64decode(answer["LogResult"]).decode()
        return answer, json.loads(answer["Payload"].read()), log

    for _ in range(2):
        answer, payload, log = invoke("go")
        assert "FunctionError" not in answer
        assert payload == {
            "functionName": name,
            "functionVersion": "$LATEST",
            "handler": "any",
            "accountId": "000000000000",
        }
        request_id = answer["ResponseMetadata"]["RequestId"]
        lines = log.splitlines()
        assert lines.index(f"inner saw {request_id}") < lines.index(f"END RequestId: {request_id}")
    answer, payload, log = invoke("fail")
    assert answer["FunctionError"] == "Unhandled"
    assert payload["errorType"] == "Extension.ExitError"
    assert payload["errorMessage"].endswith("Error: Extension.Tired")
    assert "Error Type: Extension.ExitError" in log
    logs = server.client("logs")
    events = logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
    texts = [event["message"] for event in events]
    assert "EXTENSION\tName: inner\tState: Ready\tEvents: [INVOKE]\n" in texts
