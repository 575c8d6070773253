"""The Telemetry API: subscriptions, what subscribers get, and a real one over HTTP and TCP."""

import asyncio
import json
from typing import Any

import pytest

from lambent.net import BytesBody, Request, Response
from lambent.sandbox.box import Subscribed
from lambent.sandbox.extensions.api import ExtensionsApi
from lambent.sandbox.extensions.delivery import Streams
from lambent.sandbox.extensions.telemetry import BACKLOG_BYTES_MAX, PATHS, Event, Telemetry
from tests.sandbox.extensions.support import layers
from tests.sandbox.support import Bench, event, run

TELEMETRY, LOGS = PATHS
HTTP = {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080"}


async def nowhere(port: int) -> Streams:
    raise ConnectionRefusedError


class Caller:
    def __init__(self, *, json_lines: bool = False) -> None:
        self.api = ExtensionsApi({}, "")
        self.telemetry = Telemetry(self.api, nowhere, json_lines=json_lines)

    async def register(self, name: str) -> str:
        headers = {"lambda-extension-name": name}
        body = BytesBody(b'{"events": []}')
        path = "/2020-01-01/extension/register"
        answer = await self.api(Request("POST", path, "", headers, body))
        return dict(answer.headers)["Lambda-Extension-Identifier"]

    async def subscribe(self, who: str, path: str = TELEMETRY, **fields: Any) -> Response:
        body = json.dumps({"types": ["platform"], "destination": HTTP, **fields}).encode()
        headers = {"lambda-extension-identifier": who}
        return await self.telemetry(Request("PUT", path, "", headers, BytesBody(body)))

    def held(self, name: str) -> list[Any]:
        return [json.loads(one) for one in self.telemetry._sinks[name]._held]


async def test_subscribing_and_its_refusals() -> None:
    far = Caller()
    who = await far.register("a")
    for path, kind in ((TELEMETRY, "Telemetry"), (LOGS, "Logs")):
        assert (await far.subscribe("", path)).status == 403
        bad = await far.subscribe(who, path, types=[])
        assert bad.status == 400
        assert json.loads(bytes(bad.body)) == {  # type: ignore[arg-type]
            "errorType": "ValidationError",
            "errorMessage": "types should not be empty",
        }
        good = await far.subscribe(who, path)
        assert (good.status, good.body) == (200, b'"OK"')
        assert far.telemetry.subscribed() == [Subscribed(kind.lower(), "a", ("platform",))]
    request = Request("GET", LOGS, "", {}, BytesBody(b""))
    assert (await far.telemetry(request)).status == 404
    far.telemetry.close_subscriptions()
    for path, kind in ((TELEMETRY, "Telemetry"), (LOGS, "Logs")):
        late = await far.subscribe(who, path)
        assert late.status == 403
        assert json.loads(bytes(late.body)) == {  # type: ignore[arg-type]
            "errorType": f"{kind}.SubscriptionClosed",
            "errorMessage": f"{kind} API subscription is closed already",
        }
    await far.telemetry.close()


async def test_a_level_that_cannot_reach_inside_says_so() -> None:
    far = Caller()
    far.telemetry = Telemetry(far.api, None, json_lines=False)
    answer = await far.subscribe(await far.register("a"))
    assert answer.status == 202
    assert b"Telemetry.NotSupported" in bytes(answer.body)  # type: ignore[arg-type]
    await far.telemetry.close()


async def test_subscribers_get_what_they_asked_for_and_what_was_before_them() -> None:
    far = Caller(json_lines=True)
    who = await far.register("a")
    other = await far.register("b")
    far.telemetry.tell("platform.initStart", {"phase": "init"}, 0)
    far.telemetry.line("function", b'{"level": "INFO"}')
    await far.subscribe(who, types=["platform", "function"], schemaVersion="2022-12-13")
    await far.subscribe(other, types=["function", "extension"])
    far.telemetry.line("function", b"{plain")
    far.telemetry.line("extension", b"[1]")
    first = far.held("a")
    assert first[0] == {
        "time": "1970-01-01T00:00:00.000Z",
        "type": "platform.initStart",
        "record": {"phase": "init"},
    }
    assert [one["record"] for one in first[1:]] == [
        {"level": "INFO"},
        {"name": "a", "state": "Subscribed", "types": ["platform", "function"]},
        {"name": "b", "state": "Subscribed", "types": ["function", "extension"]},
        "{plain",
    ]
    second = [(one["type"], one["record"]) for one in far.held("b")]
    assert second == [
        ("function", '{"level": "INFO"}'),
        ("function", "{plain"),
        ("extension", "[1]"),
    ]
    await far.telemetry.close()


async def test_without_subscribers_nothing_is_kept_after_init() -> None:
    far = Caller()
    for _ in range(10):
        far.telemetry.line("function", b"x" * BACKLOG_BYTES_MAX)
    assert len(far.telemetry._backlog) == 1
    far.telemetry.close_subscriptions()
    far.telemetry.line("function", b"x")
    assert far.telemetry._backlog == []
    await far.telemetry.close()


def test_an_event_is_encoded_once_per_form() -> None:
    one = Event("function", '{"a": 1}', 0)
    assert one.encoded(parsed=True) is one.encoded(parsed=True)
    assert json.loads(one.encoded(parsed=True))["record"] == {"a": 1}
    assert json.loads(one.encoded(parsed=False))["record"] == '{"a": 1}'
    assert json.loads(Event("function", "{[", 0).encoded(parsed=True))["record"] == "{["


@pytest.mark.parametrize("protocol", ["http", "tcp"])
def test_a_real_extension_gets_the_story_of_an_invocation(protocol: str) -> None:
    async def work(bench: Bench) -> None:
        source = "def handler(e, c):\n    print('working')\n    return e\n"
        box = await bench.python(source, layers=layers(bench, {"one": protocol}))
        assert box.extensions is not None
        assert box.extensions.subscribed() == [
            Subscribed("telemetry", "one", ("platform", "function"))
        ]
        sent = event(7, trace_id="Root=1")
        assert (await box.invoke(sent)).payload == b"7"
        await box.idle()
        box.extensions.tell("platform.report", {"requestId": sent.request_id})

        def got() -> list[Any]:
            lines = [line[4:] for line in bench.text().splitlines() if line.startswith("GOT ")]
            return [json.loads(line) for line in lines]

        await bench.until(lambda: any(one["type"] == "platform.report" for one in got()))
        await box.close()
        kinds = [one["type"] for one in got()]
        # The runtime starts when the extension has registered, while it subscribes.
        assert [*sorted(kinds[:2]), *kinds[2:]] == [
            "platform.initRuntimeDone",
            "platform.telemetrySubscription",
            "platform.extension",
            "platform.start",
            "function",
            "platform.runtimeDone",
            "platform.report",
        ]
        records = {one["type"]: one["record"] for one in got()}
        assert records["function"] == "working"
        assert records["platform.initRuntimeDone"]["status"] == "success"
        assert records["platform.extension"]["events"] == ["INVOKE", "SHUTDOWN"]
        start, done = records["platform.start"], records["platform.runtimeDone"]
        assert start["tracing"] == {"type": "X-Amzn-Trace-Id", "value": "Root=1"}
        assert done["status"] == "success"
        assert done["metrics"]["producedBytes"] == 1
        assert [span["name"] for span in done["spans"]] == ["responseLatency", "responseDuration"]

    run(work)


def test_an_invocation_that_timed_out_is_told_before_the_shutdown() -> None:
    async def work(bench: Bench) -> None:
        source = "import threading\ndef handler(e, c):\n    threading.Event().wait()\n"
        box = await bench.python(source, layers=layers(bench, {"one": "tcp"}))
        running = asyncio.ensure_future(box.invoke(event()))
        await bench.until(lambda: '"eventType": "INVOKE"' in bench.text())
        running.cancel()
        await box.close(reason="timeout")
        assert '"status": "timeout"' in bench.text()
        assert '"shutdownReason": "timeout"' in bench.text()

    run(work)
