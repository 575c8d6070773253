"""Real external extensions beside real runtimes."""

import asyncio
import json

import pytest

from lambent.sandbox.box import Box, BoxGone, ExtensionState, LaunchError
from lambent.sandbox.namespace.probing import why_not
from tests.sandbox import support
from tests.sandbox.extensions.support import layers, python
from tests.sandbox.support import Bench, event, run, value

ECHO = "def handler(e, c):\n    print('working', flush=True)\n    return e\n"


def said(bench: Bench, name: str) -> list[str]:
    """What an extension printed, without its name."""
    return [
        line.partition(" ")[2]
        for line in bench.text().splitlines()
        if line.startswith(f"{name} ")
    ]  # fmt: skip


async def start(bench: Bench, modes: dict[str, str], events: object = None, **more: object) -> Box:
    folder = layers(bench, modes, events)
    return await bench.python(ECHO, layers=folder, **more)


def test_an_extension_registers_and_gets_invocations_and_the_shutdown() -> None:
    async def work(bench: Bench) -> None:
        box = await start(bench, {"one": "env"})
        assert box.extensions is not None
        assert box.extensions.states() == [
            ExtensionState("one", "Ready", ("INVOKE", "SHUTDOWN"))
        ]  # fmt: skip
        sent = event({"a": 1}, trace_id="Root=1")
        for _ in range(2):
            answer = await box.invoke(sent)
            assert answer.payload == b'{"a": 1}'
            await box.idle()
        await box.close()
        lines = said(bench, "one")
        about = {"functionName": "fn", "functionVersion": "$LATEST", "handler": "m.handler"}
        assert json.loads(lines[0].partition(" ")[2]) == about
        variables = json.loads(lines[1].partition(" ")[2])
        assert "AWS_LAMBDA_FUNCTION_NAME" in variables
        hidden = {"_HANDLER", "LAMBDA_TASK_ROOT", "AWS_EXECUTION_ENV", "AWS_LAMBDA_LOG_GROUP_NAME"}
        assert not hidden & set(variables)
        first, second, last = (json.loads(line.partition(" ")[2]) for line in lines[2:])
        assert first == second == {
            "eventType": "INVOKE",
            "deadlineMs": sent.deadline_ms,
            "requestId": sent.request_id,
            "invokedFunctionArn": sent.function_arn,
            "tracing": {"type": "X-Amzn-Trace-Id", "value": "Root=1"},
        }  # fmt: skip
        assert (last["eventType"], last["shutdownReason"]) == ("SHUTDOWN", "spindown")
        assert isinstance(last["deadlineMs"], int)

    run(work)


def test_an_invocation_lasts_until_the_extensions_are_done() -> None:
    async def work(bench: Bench) -> None:
        flag = bench.sandbox.code_root / "flag"
        box = await start(bench, {"one": "slow"}, environment={"FLAG": str(flag)})
        assert (await box.invoke(event(1))).payload == b"1"
        idle = asyncio.ensure_future(box.idle())
        await bench.until(lambda: any(line.startswith("event") for line in said(bench, "one")))
        assert not idle.done()
        flag.touch()
        await idle

    run(work)


@pytest.mark.parametrize(
    ("mode", "kind", "text"),
    [
        ("crash", "Extension.Crash", "exit status 2"),
        ("init-error", "Extension.InitError", "Extension.NoConfig"),
    ],
)
def test_an_extension_that_fails_fails_the_init(mode: str, kind: str, text: str) -> None:
    async def work(bench: Bench) -> None:
        box = await bench.launch(bench.code({"m.py": ECHO}), layers=layers(bench, {"one": mode}))
        with pytest.raises(BoxGone, match=text) as caught:
            await box.ready()
        assert caught.value.exited.error_type == kind
        await box.close()

    run(work)


def test_an_extension_that_cannot_be_executed_is_a_launch_error() -> None:
    async def work(bench: Bench) -> None:
        folder = bench.code({"extensions/one": "#!/no/such/program\n"})
        box = await bench.launch(bench.code({"m.py": ECHO}), layers=folder)
        with pytest.raises(BoxGone) as caught:
            await box.ready()
        assert caught.value.exited.error_type == "Extension.LaunchError"
        assert str(caught.value) == "fork/exec /opt/extensions/one: no such file or directory"
        await box.close()

    run(work)


def test_more_than_ten_are_too_many() -> None:
    async def work(bench: Bench) -> None:
        folder = layers(bench, {f"e{number:02}": "" for number in range(11)})
        box = await bench.launch(bench.code({"m.py": ECHO}), layers=folder)
        with pytest.raises(BoxGone, match=r"Extension limit \(10\) reached"):
            await box.ready()
        await box.close()

    run(work)


@pytest.mark.parametrize(
    ("mode", "kind", "text"),
    [
        ("exit-in-invoke", "Extension.Crash", "exit status 3"),
        ("exit-error", "Extension.ExitError", "Extension.Tired"),
    ],
)
def test_an_extension_that_fails_later_fails_it_all(mode: str, kind: str, text: str) -> None:
    async def work(bench: Bench) -> None:
        box = await start(bench, {"one": mode})

        async def whole() -> None:
            await box.invoke(event(1))
            await box.idle()

        with pytest.raises(BoxGone, match=text) as caught:
            await whole()
        assert caught.value.exited.error_type == kind
        with pytest.raises(BoxGone):
            await box.invoke(event(1))
        await box.close(reason="failure")

    run(work)


def test_whoever_ignores_the_shutdown_is_killed_and_others_are_not_told() -> None:
    async def work(bench: Bench) -> None:
        both = layers(bench, {"one": "stubborn"})
        silent = layers(bench, {"two": ""}, [])
        target = both / "extensions" / "two"
        target.write_text((silent / "extensions" / "two").read_text())
        target.chmod(0o755)
        box = await bench.python(ECHO, layers=both)
        assert await value(box, 1) == 1
        await box.close(reason="timeout")
        assert '"shutdownReason": "timeout"' in said(bench, "one")[-1]
        assert len(said(bench, "two")) == 1

    run(work)


def test_provided_runtimes_and_internal_extensions() -> None:
    async def work(bench: Bench) -> None:
        source = f"#!{python()}\n" + INTERNAL
        box = await bench.start({"bootstrap": source}, runtime="provided.al2023")
        assert box.extensions is not None
        assert box.extensions.states() == [ExtensionState("inner", "Ready", ("INVOKE",))]
        assert (await box.invoke(event(5))).payload == b"5"
        await box.idle()
        assert "inner INVOKE" in bench.text()
        await box.close()

    run(work)


@pytest.mark.skipif(bool(why_not()), reason="no name spaces here")
def test_internal_extensions_at_the_namespace_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "current_level", "namespace")

    async def work(bench: Bench) -> None:
        source = "#!/usr/bin/env python3\n" + INTERNAL
        box = await bench.start({"bootstrap": source}, runtime="provided.al2023")
        assert (await box.invoke(event(5))).payload == b"5"
        await box.idle()
        assert "inner INVOKE" in bench.text()
        echo = await bench.python(ECHO, layers=bench.code({"python/x.py": ""}))
        assert await value(echo, 2) == 2
        with pytest.raises(LaunchError, match="external extensions"):
            await bench.launch(bench.code({"m.py": ECHO}), layers=layers(bench, {"one": ""}))

    run(work)


INTERNAL = """
import json, os, threading, urllib.request
API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
def call(method, path, data=None, **headers):
    headers = {k.replace("_", "-"): v for k, v in headers.items()}
    request = urllib.request.Request(API + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, answer.read()
headers, _ = call("POST", "/2020-01-01/extension/register", b'{"events": ["INVOKE"]}',
    Lambda_Extension_Name="inner")
me = headers["Lambda-Extension-Identifier"]
def events():
    while True:
        _, body = call("GET", "/2020-01-01/extension/event/next", Lambda_Extension_Identifier=me)
        print("inner", json.loads(body)["eventType"], flush=True)
threading.Thread(target=events, daemon=True).start()
while True:
    headers, body = call("GET", "/2018-06-01/runtime/invocation/next")
    id = headers["Lambda-Runtime-Aws-Request-Id"]
    call("POST", "/2018-06-01/runtime/invocation/%s/response" % id, body)
"""
