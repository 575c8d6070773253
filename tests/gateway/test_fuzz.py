"""Whatever comes over the wire gets an AWS answer: never a 500, never silence, and no leak.

Random heads and bodies, and valid signed requests of every served service, broken in one or more
places. The seed is fixed; FUZZ=10 in the environment does ten times as much with another seed.
"""

import os
import random
import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.gateway.requests import Raw, signed_requests
from tests.servers import ThreadServer, settings_for_tests

TIMES = int(os.environ.get("FUZZ", "1"))
SEED = 20_260_100 + TIMES
PER_OPERATION = 10 * TIMES
RANDOM_REQUESTS = 400 * TIMES
ANSWER_S_MAX = 20.0
"""A bound that says hang, not a wait."""
FINE = {501, 503}
"""Not served; refused for want of room."""

JUNK = [
    b"",
    b"{",
    b"{}",
    b"[]",
    b"null",
    b"[" * 50_000,
    b'{"a":' * 20_000,
    b"\xff\xfe\x00\x01",
    b"<a><b></a>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    b"<a>" * 5_000,
    b"Action=&Version=",
    b"Action=Nothing&Version=2010-05-08",
    b"a=%zz&=&&%",
    b"UserName.member.99999999999999999999=x&Action=CreateUser&Version=2010-05-08",
    b"PK\x03\x04junk",
    b'{"FunctionName": 1e400, "Name": "\\ud800"}',
    b'{"FunctionName": {"a": []}, "Bucket": null, "limit": "x", "logGroupName": 5}',
    b"5;chunk-signature=0\r\nhello\r\n0\r\n\r\n",
]
TEXTS = [
    "",
    "x" * 9_000,
    "%",
    "%00",
    "%ff%fe",
    "../..",
    "\xe9",
    "-1",
    "99999999999999999999",
    "1e400",
    "null",
    "a,b;c=d",
    "arn:aws:lambda:us-east-1:000000000000:function:f",
    "bytes=5-1",
    "AWS4-HMAC-SHA256 Credential=a/b/c/d/e, SignedHeaders=, Signature=",
    "AWS4-HMAC-SHA256 Credential=////, SignedHeaders=host;;, Signature=zz",
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    "application/x-www-form-urlencoded",
    "application/json",
    "aws-chunked",
    "Mon, 99 Foo 9999",
]
HEADERS = [
    "authorization",
    "content-type",
    "content-encoding",
    "content-md5",
    "range",
    "if-match",
    "if-modified-since",
    "x-amz-target",
    "x-amz-date",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-trailer",
    "x-amz-copy-source",
    "x-amz-security-token",
    "x-amz-client-context",
    "x-amz-invocation-type",
    "x-amz-checksum-crc32",
    "smithy-protocol",
    "x-amzn-trace-id",
]


class Wire:
    """One client that reconnects when the server hangs up."""

    def __init__(self, url: str) -> None:
        at = urlsplit(url)
        self._address = (at.hostname, at.port)
        self._socket: socket.socket | None = None

    def ask(self, data: bytes, *, end: bool = False) -> bytes:
        """The head of the answer, empty when the server hung up without one."""
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=ANSWER_S_MAX)
        try:
            self._socket.sendall(data)
            if end:
                self._socket.shutdown(socket.SHUT_WR)
            head = self._answer()
        except ConnectionError:
            head = b""
        if end or not head or b"connection: close" in head.lower():
            self.close()
        return head

    def _answer(self) -> bytes:
        assert self._socket is not None
        data = b""
        while b"\r\n\r\n" not in data:
            data += (more := self._socket.recv(65_536))
            if not more:
                return data
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            None,
        )
        if length is None:
            self.close()  # chunked or to the end: not worth telling apart here
            return head
        while len(body) < length:
            more = self._socket.recv(65_536)
            if not more:
                break
            body += more
        return head

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _status(head: bytes) -> int:
    return int(head.split(b" ", 2)[1]) if head.startswith(b"HTTP/1.1 ") else 0


def _broken(raw: Raw, dice: random.Random) -> Raw:
    """A copy with one to three things wrong."""
    copy = Raw(raw.method, raw.target, list(raw.headers), raw.body, raw.name)
    for _ in range(dice.randint(1, 3)):
        _break(copy, dice)
    return copy


def _break(raw: Raw, dice: random.Random) -> None:
    match dice.randrange(9):
        case 0:
            raw.body = dice.choice(JUNK)
        case 1 if raw.body:
            at = dice.randrange(len(raw.body))
            raw.body = raw.body[:at] + dice.randbytes(dice.randint(0, 4)) + raw.body[at + 1 :]
        case 2:
            raw.body = raw.body[: dice.randint(0, len(raw.body))]
        case 3 if raw.headers[1:]:
            del raw.headers[dice.randrange(1, len(raw.headers))]
        case 4:
            raw.headers.append((dice.choice(HEADERS), dice.choice(TEXTS)))
        case 5 if raw.headers[1:]:
            at = dice.randrange(1, len(raw.headers))
            raw.headers[at] = (raw.headers[at][0], dice.choice(TEXTS))
        case 6:
            path, mark, query = raw.target.partition("?")
            parts = path.split("/")
            parts[dice.randrange(1, len(parts)) if len(parts) > 1 else 0] = _safe(dice)
            raw.target = ("/".join(parts) or "/") + mark + query
        case 7:
            joint = "&" if "?" in raw.target else "?"
            names = ("marker", "max-keys", "list-type", "Marker", "MaxItems", "X-Amz-Signature")
            raw.target += f"{joint}{dice.choice(names)}={_safe(dice)}"
        case 8:
            raw.method = dice.choice(["GET", "PUT", "POST", "DELETE", "PATCH", "HEAD", "OPTIONS"])


def _safe(dice: random.Random) -> str:
    text = dice.choice(TEXTS)
    return text.replace(" ", "+").encode("ascii", "ignore").decode()


def _random_request(dice: random.Random) -> bytes:
    match dice.randrange(4):
        case 0:
            return dice.randbytes(dice.randint(1, 300)) + b"\r\n\r\n"
        case 1:
            method = dice.choice(["GET", "POST", "BREW", ""])
            line = f"{method} /{_safe(dice)} HTTP/1.{dice.randint(0, 3)}\r\nHost: x\r\n"
            return line.encode() + dice.randbytes(20) + b"\r\n\r\n"
        case 2:
            return b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + dice.choice(JUNK)
        case _:
            headers = [(dice.choice(HEADERS), dice.choice(TEXTS)) for _ in range(3)]
            method = dice.choice(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH"])
            return Raw(method, "/" + _safe(dice), headers, dice.choice(JUNK)).bytes()


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[ThreadServer]:
    with ThreadServer(settings_for_tests()) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_leak(fuzzed: ThreadServer) -> Iterator[None]:
    before = fuzzed.tasks()
    descriptors = len(os.listdir("/proc/self/fd"))
    yield
    for _ in range(10_000):  # closed connections are noticed within a few turns of the loop
        if fuzzed.connections() == 0 and fuzzed.tasks() == before:
            break
    assert fuzzed.connections() == 0
    assert fuzzed.tasks() == before
    assert len(os.listdir("/proc/self/fd")) <= descriptors


def _check(wire: Wire, data: bytes, name: str, *, end: bool = False) -> int:
    try:
        head = wire.ask(data, end=end)
    except TimeoutError:
        wire.close()
        pytest.fail(f"no answer to {name}: {_shown(data)}")
    status = _status(head)
    if status >= 500 and status not in FINE:
        wire.close()
        pytest.fail(f"{name}: {status} to {_shown(data)}")
    return status


def _shown(data: bytes) -> str:
    return repr(data) if len(data) < 1500 else f"{data[:700]!r} ... {data[-700:]!r}"


def _services() -> list[str]:
    from lambent.services import SERVICES

    return [service.name for service in SERVICES]


@pytest.mark.parametrize("service", _services())
def test_broken_requests(fuzzed: ThreadServer, service: str, caplog: Any) -> None:
    dice = random.Random(f"{SEED} {service}")
    wire = Wire(fuzzed.url)
    answered = 0
    requests = signed_requests(service, fuzzed.url)
    assert requests
    for raw in requests:
        _check(wire, raw.bytes(), raw.name, end=raw.method == "HEAD")
        for _ in range(PER_OPERATION):
            broken = _broken(raw, dice)
            head_only = broken.method == "HEAD"
            answered += _check(wire, broken.bytes(), raw.name, end=head_only) > 0
    wire.close()
    assert answered > len(requests)
    assert "failed unexpectedly" not in caplog.text


@pytest.mark.parametrize("service", _services())
def test_bodies_that_break_off(fuzzed: ThreadServer, service: str) -> None:
    dice = random.Random(f"{SEED} {service}")
    wire = Wire(fuzzed.url)
    for raw in dice.choices(signed_requests(service, fuzzed.url), k=20):
        raw.body = raw.body or b"{"
        raw.length = len(raw.body) + dice.randint(1, 1000)
        _check(wire, raw.bytes(), raw.name, end=True)
    wire.close()


def test_random_heads(fuzzed: ThreadServer) -> None:
    dice = random.Random(SEED)
    wire = Wire(fuzzed.url)
    for number in range(RANDOM_REQUESTS):
        _check(wire, _random_request(dice), f"random {number}", end=True)
    wire.close()


def test_clients_that_go_away(fuzzed: ThreadServer) -> None:
    """In the middle of the head, of the body, and before the answer."""
    dice = random.Random(SEED)
    at = urlsplit(fuzzed.url)
    requests = signed_requests("lambda", fuzzed.url) + signed_requests("s3", fuzzed.url)
    for raw in dice.choices(requests, k=100):
        data = raw.bytes()
        with socket.create_connection((at.hostname, at.port), timeout=ANSWER_S_MAX) as client:
            client.sendall(data[: dice.randint(1, len(data))])


def test_it_still_works(fuzzed: ThreadServer) -> None:
    assert fuzzed.client("sts").get_caller_identity()["Account"] == "000000000000"
    fuzzed._clients.close()
