"""The Extensions API by raw requests: identifiers, states, texts (facts: lambda.md D2)."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.net import BytesBody, Request, Response
from lambent.sandbox.box import BoxGone, Exited
from lambent.sandbox.extensions.api import EXTENSIONS_MAX, PREFIX, ExtensionsApi, State
from tests.sandbox.support import event

ABOUT = {"functionName": "fn", "functionVersion": "$LATEST", "handler": "m.h"}


class Caller:
    def __init__(self, *expected: str) -> None:
        self.api = ExtensionsApi(ABOUT, "123456789012")
        for name in expected:
            self.api.expect(name)

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Response:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        lower = {name.replace("_", "-").lower(): text for name, text in headers.items()}
        return await self.api(Request(method, PREFIX + path, "", lower, BytesBody(raw)))

    async def register(self, name: str, *events: str, **headers: str) -> Response:
        headers["Lambda_Extension_Name"] = name
        return await self.call("POST", "register", {"events": list(events)}, **headers)

    async def registered(self, name: str, *events: str) -> dict[str, str]:
        answer = await self.register(name, *events)
        assert answer.status == 200
        return {"Lambda_Extension_Identifier": dict(answer.headers)["Lambda-Extension-Identifier"]}


def refused(answer: Response, status: int = 403) -> tuple[str, str]:
    assert answer.status == status
    assert isinstance(answer.body, bytes)
    body = json.loads(answer.body)
    return body["errorType"], body["errorMessage"]


def decoded(answer: Response) -> Any:
    assert answer.status == 200
    assert isinstance(answer.body, bytes)
    return json.loads(answer.body)


async def test_registering_external_and_internal_extensions() -> None:
    far = Caller("ext")
    assert decoded(await far.register("ext", "INVOKE", "SHUTDOWN")) == ABOUT
    feature = {"Lambda_Extension_Accept_Feature": "other, accountId"}
    answer = await far.register("inner", "INVOKE", **feature)
    assert decoded(answer) == {**ABOUT, "accountId": "123456789012"}
    assert far.api.all_registered()


async def test_registrations_that_are_refused() -> None:
    far = Caller("ext")
    kind, _ = refused(await far.call("POST", "register", {"events": []}))
    assert kind == "Extension.InvalidExtensionName"
    for body in (b"?", b"[]", b'{"events": "INVOKE"}', b'{"events": [1]}', b"x" * 100_000):
        answer = await far.call("POST", "register", body, Lambda_Extension_Name="ext")
        assert refused(answer, 400)[0] == "InvalidRequestFormat"
    assert refused(await far.register("ext", "NOPE")) == (
        "Extension.InvalidEventType",
        "NOPE: ErrorInvalidEventType",
    )
    assert refused(await far.register("inner", "SHUTDOWN")) == (
        "Extension.InvalidEventType",
        "SHUTDOWN: ShutdownEventNotSupportedForInternalExtension",
    )
    await far.registered("ext", "INVOKE")
    kind, text = refused(await far.register("ext", "INVOKE"))
    assert kind == "Extension.InvalidExtensionState"
    assert text.startswith("State transition from Registered to Registered failed for extension")
    await far.registered("inner")
    assert refused(await far.register("inner")) == (
        "Extension.InvalidExtensionState",
        "Extension with this name already registered",
    )
    for number in range(EXTENSIONS_MAX - 2):
        await far.registered(f"e{number}")
    assert refused(await far.register("more")) == (
        "Extension.TooManyExtensions",
        "Extension limit (10) reached",
    )
    far.api.close_registration()
    assert refused(await far.register("late")) == (
        "Extension.RegistrationClosed",
        "Extension registration closed already",
    )


async def test_identifiers_are_required_known_and_well_formed() -> None:
    far = Caller()
    unknown = "00000000-0000-4000-8000-000000000000"
    for method, path in (("GET", "event/next"), ("POST", "init/error"), ("POST", "exit/error")):
        for headers, kind in (
            ({}, "MissingExtensionIdentifier"),
            ({"Lambda_Extension_Identifier": "x"}, "InvalidExtensionIdentifier"),
            ({"Lambda_Extension_Identifier": unknown}, "UnknownExtensionIdentifier"),
        ):
            assert refused(await far.call(method, path, **headers))[0] == f"Extension.{kind}"
    assert (await far.call("GET", "register")).status == 404


async def test_events_are_handed_over_once_and_waited_for() -> None:
    far = Caller("a", "b")
    a = await far.registered("a", "INVOKE", "SHUTDOWN")
    b = await far.registered("b", "SHUTDOWN")
    assert not far.api.all_ready()
    waiting = [asyncio.ensure_future(far.call("GET", "event/next", **who)) for who in (a, b)]
    await far.api.until(far.api.all_ready)
    far.api.invoke(event(trace_id="T"))
    assert decoded(await waiting[0])["eventType"] == "INVOKE"
    assert not waiting[1].done()
    assert not far.api.all_done()
    again = asyncio.ensure_future(far.call("GET", "event/next", **a))
    await far.api.until(far.api.all_done)
    twice = asyncio.ensure_future(far.call("GET", "event/next", **a))
    assert refused(await again)[0] == "Extension.InvalidExtensionState"
    far.api.shut_down("timeout", 5)
    for answer in (await twice, await waiting[1]):
        assert decoded(answer) == {
            "eventType": "SHUTDOWN",
            "shutdownReason": "timeout",
            "deadlineMs": 5,
        }
    far.api.process_ended(far.api.extensions["a"], Exited(1))
    assert far.api.failure is None


async def test_errors_that_extensions_report() -> None:
    header = "Lambda_Extension_Function_Error_Type"
    for path, kind, state in (
        ("init/error", "Extension.InitError", State.INIT_ERROR),
        ("exit/error", "Extension.ExitError", State.EXIT_ERROR),
    ):
        far = Caller("a")
        a = await far.registered("a", "INVOKE")
        waiting = asyncio.ensure_future(far.api.until(lambda: False))
        await asyncio.sleep(0)
        assert refused(await far.call("POST", path, **a)) == (
            "Extension.MissingHeader",
            "Lambda-Extension-Function-Error-Type not found",
        )
        answer = await far.call("POST", path, **a, **{header: "Extension.Mine"})
        assert (answer.status, answer.body) == (202, b'{"status":"OK"}\n')
        with pytest.raises(BoxGone, match=r"Extension\.Mine") as caught:
            await waiting
        assert caught.value.exited.error_type == kind
        assert far.api.extensions["a"].state is state
        again = await far.call("POST", path, **a, **{header: "Extension.Mine"})
        assert refused(again)[0] == "Extension.InvalidExtensionState"
        nothing = await far.call("GET", "event/next", **a)
        assert refused(nothing)[0] == "Extension.InvalidExtensionState"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["next", "invoke", "init/error", "exit/error", "gone"])))
def test_whatever_the_order_each_invocation_arrives_once(steps: list[str]) -> None:
    async def work() -> None:
        far = Caller("a")
        a = await far.registered("a", "INVOKE")
        got: list[asyncio.Future[Response]] = []
        sent = 0
        for step in steps:
            if step == "next":
                got.append(asyncio.ensure_future(far.call("GET", "event/next", **a)))
            elif step == "invoke":
                if far.api.all_done() and far.api.failure is None:
                    far.api.invoke(event())
                    sent += 1
            elif step == "gone":
                far.api.process_ended(far.api.extensions["a"], Exited(0))
            else:
                await far.call("POST", step, **a, Lambda_Extension_Function_Error_Type="E")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        events = [one for one in got if one.done() and one.result().status == 200]
        assert len(events) == sent
        assert (far.api.failure is None) == (far.api.extensions["a"].error_type == "")
        for one in got:
            one.cancel()

    asyncio.run(work())
