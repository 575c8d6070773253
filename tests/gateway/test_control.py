"""The control addresses of docs/contract.md: health, clock, reset, support; what is not served."""

import http.client
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from lambent import __version__
from lambent.gateway.control import duration_s
from tests.servers import ThreadServer


def control(server: ThreadServer, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Status and decoded JSON of a control request; `body` is JSON or raw bytes."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        connection.request(method, path, data)
        response = connection.getresponse()
        assert response.headers["content-type"] == "application/json"
        text = response.read()
        return response.status, json.loads(text) if text else None
    finally:
        connection.close()


@pytest.fixture(scope="module")
def virtual() -> Any:
    from tests.servers import settings_for_tests

    with ThreadServer(settings_for_tests(virtual_clock=True)) as running:
        yield running


def test_health(server: ThreadServer) -> None:
    status, answer = control(server, "GET", "/_lambent/health")
    assert status == 200
    assert (answer["status"], answer["version"]) == ("ready", __version__)
    assert answer["isolation"] == "process"
    assert answer["services"]["lambda"] == "ready"
    assert answer["services"].keys() == server.platform.registry.services.keys()
    assert control(server, "GET", "/_lambent/health/")[0] == 200
    assert control(server, "HEAD", "/_lambent/health") == (200, None)


def test_health_before_it_is_ready(server: ThreadServer) -> None:
    gateway = server.server._http._shared.handler.__self__
    gateway.control.ready = False
    try:
        status, answer = control(server, "GET", "/_lambent/health")
        assert (status, answer["status"]) == (503, "starting")
        _, answer = control(server, "GET", "/_localstack/health")
        assert set(answer["services"].values()) == {"initialized"}
        _, answer = control(server, "GET", "/_localstack/init")
        assert answer["completed"]["READY"] is False
    finally:
        gateway.control.ready = True


def test_localstacks_shapes(server: ThreadServer) -> None:
    status, answer = control(server, "GET", "/_localstack/health")
    assert status == 200
    assert answer["services"]["s3"] == "available"
    assert {"edition", "version"} <= answer.keys()
    status, answer = control(server, "GET", "/_localstack/init")
    assert (status, answer["scripts"]) == (200, [])
    assert answer["completed"] == {"BOOT": True, "START": True, "READY": True, "SHUTDOWN": False}


def test_a_real_clock_cannot_be_moved(server: ThreadServer) -> None:
    status, answer = control(server, "GET", "/_lambent/clock")
    assert (status, answer["virtual"]) == (200, False)
    for order in ({"advance": "90s"}, {"set": "2030-01-01T00:00:00Z"}):
        status, answer = control(server, "POST", "/_lambent/clock", order)
        assert (status, answer["error"]) == (409, "RealClock")
        assert "--clock virtual" in answer["message"]


def test_a_virtual_clock_is_advanced_and_set(virtual: ThreadServer) -> None:
    _, before = control(virtual, "GET", "/_lambent/clock")
    assert before["virtual"] is True
    start_s = virtual.clock.now()
    status, _ = control(virtual, "POST", "/_lambent/clock", {"advance": "90s"})
    assert status == 200
    assert virtual.clock.now() == pytest.approx(start_s + 90)
    status, _ = control(virtual, "POST", "/_lambent/clock", {"advance": 0.5})
    assert virtual.clock.now() == pytest.approx(start_s + 90.5)
    status, after = control(virtual, "POST", "/_lambent/clock", {"set": "2130-01-01T00:00:00Z"})
    assert (status, after["now"]) == (200, "2130-01-01T00:00:00.000Z")
    status, after = control(
        virtual, "POST", "/_lambent/clock", {"set": "2130-01-01T02:00:00+01:00"}
    )
    assert (status, after["now"]) == (200, "2130-01-01T01:00:00.000Z")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"advance": "1s", "set": "2130-01-01"},
        {"advance": "-1s"},
        {"advance": -1},
        {"advance": "soon"},
        {"advance": None},
        {"advance": True},
        {"advance": []},
        {"advance": 1e300},
        {"advance": "9" * 400 + "s"},
        {"set": "yesterday"},
        {"set": 5},
        {"set": "1999-01-01T00:00:00Z"},
        {"set": "9999-12-31T23:59:59-23:59"},
        {"set": "0001-01-01T00:00:00+23:59"},
        {"rewind": "1s"},
        [],
        "text",
        b"{",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"advance": 1e999}',
        b'{"advance": NaN}',
    ],
    ids=lambda body: repr(body)[:40],
)
def test_orders_that_make_no_sense(virtual: ThreadServer, body: Any) -> None:
    before_s = virtual.clock.now()
    status, answer = control(virtual, "POST", "/_lambent/clock", body)
    assert status == 400
    assert answer.keys() == {"error", "message"}
    assert virtual.clock.now() == before_s


def test_the_clock_can_be_read_however_far_it_went(server_factory: Callable[..., Any]) -> None:
    server = server_factory(virtual_clock=True)
    status, _ = control(server, "POST", "/_lambent/clock", {"set": "9999-12-31T00:00:00Z"})
    assert status == 200
    status, answer = control(server, "POST", "/_lambent/clock", {"advance": "3d"})
    assert (status, answer.keys()) == (400, {"error", "message"})
    assert control(server, "GET", "/_lambent/clock")[0] == 200


def test_durations() -> None:
    texts = {"250ms": 0.25, "90s": 90, "15m": 900, "1.5h": 5400, "2d": 172_800, 7: 7, 0.5: 0.5}
    assert {text: duration_s(text) for text in texts} == texts


def test_support(server: ThreadServer) -> None:
    status, answer = control(server, "GET", "/_lambent/support")
    assert status == 200
    assert answer["lambda"]["Invoke"] == "served"
    assert {word for table in answer.values() for word in table.values()} <= {
        "served",
        "delegated",
        "not yet",
    }


@pytest.mark.parametrize("path", ["/_lambent/nonsense", "/_localstack/nonsense"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_what_is_not_served(server: ThreadServer, method: str, path: str) -> None:
    status, answer = control(server, method, path)
    assert (status, answer["error"]) == (501, "NotImplemented")
    assert path in answer["message"]


def test_reset_by_account(server_factory: Callable[..., Any]) -> None:
    server = server_factory()
    accounts = ("111111111111", "222222222222")
    clients = [server.client("iam", account=account) for account in accounts]

    def users() -> list[int]:
        return [len(client.list_users()["Users"]) for client in clients]

    for client in clients:
        client.create_user(UserName="u")
    status, answer = control(server, "POST", "/_lambent/reset", {"account": accounts[0]})
    assert (status, answer) == (200, {"status": "reset"})
    assert users() == [0, 1]
    assert control(server, "POST", "/_lambent/reset", {"service": "s3"})[0] == 200
    assert users() == [0, 1]
    assert control(server, "POST", "/_lambent/reset", {"service": "iam"})[0] == 200
    assert users() == [0, 0]
    clients[1].create_user(UserName="u")
    assert control(server, "POST", "/_lambent/reset")[0] == 200
    assert users() == [0, 0]


@pytest.mark.parametrize(
    "body", [{"service": "nobody"}, {"user": "x"}, {"account": 1}, {"service": []}, [1]]
)
def test_resets_that_make_no_sense(server: ThreadServer, body: Any) -> None:
    status, answer = control(server, "POST", "/_lambent/reset", body)
    assert (status, answer["error"]) == (400, "InvalidRequest")


def _signed(server: ThreadServer, method: str, path: str, key: str, secret: str) -> tuple[int, Any]:
    request = AWSRequest(method, server.url + path, data=b"{}")
    SigV4Auth(Credentials(key, secret), "lambent", "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request(method, path, b"{}", dict(request.headers))
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def test_where_signatures_are_verified_only_the_owner_controls(
    enforcing_server: ThreadServer,
) -> None:
    server = enforcing_server
    for path in ("/_lambent/health", "/_localstack/health", "/_localstack/init"):
        assert control(server, "GET", path)[0] == 200
    iam = server.client("iam")
    iam.create_user(UserName="u")
    issued = iam.create_access_key(UserName="u")["AccessKey"]
    addresses = [("GET", "clock"), ("GET", "support"), ("GET", "environments"), ("POST", "reset")]
    for method, name in addresses:
        path = f"/_lambent/{name}"
        assert control(server, method, path)[0] == 403
        assert _signed(server, method, path, server.root.access_key, "wrong")[0] == 403
        user = (issued["AccessKeyId"], issued["SecretAccessKey"])
        status, answer = _signed(server, method, path, *user)
        assert (status, answer["error"]) == (403, "AccessDeniedException")
    assert iam.get_user(UserName="u")
    for method, name in addresses:
        root = (server.root.access_key, server.root.secret)
        assert _signed(server, method, f"/_lambent/{name}", *root)[0] == 200
    with pytest.raises(ClientError):
        iam.get_user(UserName="u")
