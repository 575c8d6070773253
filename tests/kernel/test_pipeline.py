"""Each kind of failure becomes an AWS error in the protocol's shape; a bug a 500 that is logged.
Under `--auth enforce` who signs wrongly gets AWS's error for it."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Platform, Principal, Verbs, Wire
from lambent.kernel.pipeline import Pipeline
from lambent.net import BodyTooLarge, BodyTruncated, BytesBody, Request, Response
from lambent.store.protocol import Conflict, StoreFull
from lambent.wire import Credential
from tests.kernel.fakes import fake_service, running
from tests.servers import ThreadServer


class BrokenBody(BytesBody):
    """A body that cannot be read."""

    def __init__(self, error: Exception) -> None:
        super().__init__(b"")
        self._error = error

    async def read(self, limit_bytes: int) -> bytes:
        raise self._error


def _request(operation: str, body: Any = b"{}") -> Request:
    body = body if isinstance(body, BytesBody) else BytesBody(body)
    headers = {
        "host": "127.0.0.1:1",
        "x-amz-target": f"Fake_20260101.{operation}",
        "content-type": "application/x-amz-json-1.1",
    }
    return Request("POST", "/", "", headers, body, "127.0.0.1")


async def _serve(
    verb: Callable[[Ctx, Wire], Any] | None, request: Request, credential: Credential | None = None
) -> Response:
    verbs = Verbs()
    if verb is not None:
        verbs.operation("GetThing")(verb)
    service = fake_service(parts=(verbs,))
    async with running(service) as platform:
        return await Pipeline(platform).serve(service, request, credential)


def _error(response: Response) -> tuple[int, str, str]:
    assert isinstance(response.body, bytes)
    body = json.loads(response.body)
    names = {name.lower() for name, _ in response.headers}
    assert "x-amzn-requestid" in names
    return response.status, body["__type"], body.get("message", body.get("Message", ""))


def _raising(error: Exception) -> Callable[[Ctx, Wire], Any]:
    async def verb(ctx: Ctx, request: Wire) -> Wire:
        raise error

    return verb


def _get() -> Request:
    return _request("GetThing", b'{"Name": "a"}')


async def test_a_good_answer() -> None:
    seen: list[Ctx] = []

    async def verb(ctx: Ctx, request: Wire) -> Wire:
        seen.append(ctx)
        return {"Name": request["Name"], "Secret": 1}

    response = await _serve(verb, _get())
    assert response.status == 200
    assert json.loads(response.body) == {"Name": "a"}  # type: ignore[arg-type]
    ctx = seen[0]
    assert (ctx.account, ctx.region, ctx.peer) == ("000000000000", "us-east-1", "127.0.0.1")
    assert ctx.origin == "http://127.0.0.1:1"
    assert (await _serve(None, _request("Unserved"))).status == 501


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AwsError("NoSuchThing", "gone"), 400, "NoSuchThing"),
        (AwsError("NoSuchThing", "gone", status=404), 404, "NoSuchThing"),
        (Conflict(("a",)), 409, "ConcurrentModificationException"),
        (StoreFull("disk"), 503, "ServiceUnavailable"),
        (BodyTooLarge(), 413, "RequestEntityTooLargeException"),
        (BodyTruncated(), 400, "IncompleteBody"),
    ],
)
async def test_what_an_operation_raises(error: Exception, status: int, code: str) -> None:
    assert _error(await _serve(_raising(error), _get()))[:2] == (status, code)


async def test_a_bug_is_a_500_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "lambent.pipeline"):
        response = await _serve(_raising(LookupError("a secret")), _get())
    assert _error(response) == (500, "InternalFailure", "An internal error occurred.")
    assert "a secret" in caplog.text
    assert "a secret" not in str(response.body)
    caplog.clear()


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (_request("Nothing"), 404, "UnknownOperationException"),
        (_request("Unserved"), 501, "NotImplemented"),
        (_request("GetThing", b"{"), 400, "SerializationException"),
        (_request("GetThing", b"[1]"), 400, "SerializationException"),
        (_request("GetThing", b'{"Name": {}}'), 400, "SerializationException"),
        (_request("GetThing", b"{}"), 400, "ValidationException"),
        (_request("GetThing", BrokenBody(BodyTooLarge())), 413, "RequestEntityTooLargeException"),
        (_request("GetThing", BrokenBody(BodyTruncated())), 400, "IncompleteBody"),
    ],
)
async def test_what_a_request_can_be(request_: Request, status: int, code: str) -> None:
    async def verb(ctx: Ctx, request: Wire) -> Wire:
        return {}

    assert _error(await _serve(verb, request_))[:2] == (status, code)


def _code(raised: Any) -> tuple[str, int]:
    response = raised.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_enforced_signatures(enforcing_server: ThreadServer) -> None:
    server = enforcing_server
    answer = server.client("sts").get_caller_identity()
    assert answer["Arn"] == "arn:aws:iam::000000000000:root"
    wrong = server.client("sts", secret="not the secret")
    with pytest.raises(ClientError) as raised:
        wrong.get_caller_identity()
    assert _code(raised) == ("SignatureDoesNotMatch", 403)
    for key in ("AKIANOBODY", "000000000000"):
        with pytest.raises(ClientError) as raised:
            server.client("sts", key=key, secret="x").get_caller_identity()
        assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


@pytest.mark.parametrize("service", ["sts", "s3", "lambda", "logs"])
def test_nobody_gets_in_without_a_signature(enforcing_server: ThreadServer, service: str) -> None:
    from botocore import UNSIGNED

    client = enforcing_server.client(service, signature_version=UNSIGNED)
    calls: dict[str, tuple[str, dict[str, str]]] = {
        "sts": ("get_caller_identity", {}),
        "s3": ("list_objects_v2", {"Bucket": "bbb"}),
        "lambda": ("list_functions", {}),
        "logs": ("describe_log_groups", {}),
    }
    operation, arguments = calls[service]
    with pytest.raises(ClientError) as raised:
        getattr(client, operation)(**arguments)
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_bodies_are_signed_too(enforcing_server: ThreadServer) -> None:
    s3 = enforcing_server.client("s3")
    s3.create_bucket(Bucket="signed")
    s3.put_object(Bucket="signed", Key="k", Body=b"x" * 200_000)
    assert s3.get_object(Bucket="signed", Key="k")["Body"].read() == b"x" * 200_000
    lam = enforcing_server.client("lambda")

    lam.meta.events.register("before-send", lambda request, **_: _tampered(request))
    with pytest.raises(ClientError) as raised:
        lam.tag_resource(
            Resource="arn:aws:lambda:us-east-1:000000000000:function:f", Tags={"a": "b"}
        )
    assert _code(raised)[1] == 403


def _tampered(request: Any) -> None:
    request.body = request.body.replace(b'"b"', b'"c"')


def test_a_lent_session_ends(server_factory: Callable[..., ThreadServer]) -> None:
    server = server_factory(enforce=True, virtual_clock=True)
    platform: Platform = server.platform
    who = Principal("123456789012", "arn:aws:sts::123456789012:assumed-role/r/s", "AROA:s")

    async def lend() -> Any:
        issued = platform.identities.make(who, lifetime_s=900)
        platform.identities.lend(issued)
        return issued

    issued = server.run(lend())
    options = {"key": issued.access_key, "secret": issued.secret}
    good = server.client("sts", token=issued.token, **options)
    assert good.get_caller_identity()["Arn"] == who.arn
    with pytest.raises(ClientError) as raised:
        server.client("sts", token="another", **options).get_caller_identity()
    assert _code(raised)[1] == 403
    server.clock.advance(900)

    async def verified() -> None:
        await platform.identities.verified(issued.access_key, issued.token)

    with pytest.raises(AwsError, match="expired"):
        server.run(verified())
