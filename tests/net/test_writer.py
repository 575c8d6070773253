"""Responses as they leave: framing by method and version, streams, and how they break."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from lambent.net import HttpLimits, Request, Response
from tests.net.http_client import Client, connected, head, serving, until


class Stream:
    """A stream that says when it has been closed."""

    def __init__(
        self, *parts: bytes, error: Exception | None = None, endless: bool = False
    ) -> None:
        self.parts, self.error, self.endless = parts, error, endless
        self.closed = asyncio.Event()
        self.taken = 0

    async def __call__(self) -> AsyncIterator[bytes]:
        try:
            for part in self.parts:
                self.taken += 1
                yield part
            if self.error is not None:
                raise self.error
            if self.endless:
                await asyncio.Event().wait()
        finally:
            self.closed.set()


def answering(response: Response) -> object:
    async def handler(_: Request) -> Response:
        return response

    return handler


async def raw(client: Client, request: bytes) -> bytes:
    await client.send(request)
    return await client.reader.read()


async def test_a_stream_goes_out_in_chunks() -> None:
    stream = Stream(b"abc", b"", b"d" * 20)
    async with connected(answering(Response(200, [("X-A", "b")], stream()))) as (_, client):
        await client.send(head())
        status, headers = await client.head()
        assert (status, headers["transfer-encoding"], headers["x-a"]) == (200, "chunked", "b")
        assert "content-length" not in headers
        assert [chunk async for chunk in client.chunks()] == [b"abc", b"d" * 20]
        assert stream.closed.is_set()


async def test_a_stream_of_known_length() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], Stream(b"abc", b"def")(), length=6)

    async with connected(handler) as (_, client):
        for _ in range(2):
            answer = await client.ask(head())
            assert (answer.headers["content-length"], answer.body) == ("6", b"abcdef")


async def test_a_stream_to_an_old_client_ends_with_the_connection() -> None:
    async def handler(_: Request) -> Response:
        return Response(200, [], Stream(b"abc", b"def")())

    async with connected(handler) as (_, client):
        data = await raw(client, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert b"chunked" not in data
        assert b"Connection: close" in data
        assert data.endswith(b"\r\n\r\nabcdef")


@pytest.mark.parametrize(
    ("parts", "error", "length"),
    [((b"abc",), KeyError("x"), None), ((b"abc",), KeyError("x"), 6), ((b"abc",), None, 4),
     ((b"abc", b"d"), None, 3)],
)  # fmt: skip
async def test_a_stream_that_breaks_cuts_the_connection(
    parts: tuple[bytes, ...],
    error: Exception | None,
    length: int | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stream = Stream(*parts, error=error)
    async with connected(answering(Response(200, [], stream(), length))) as (server, client):
        await client.send(head())
        data = b""
        with contextlib.suppress(ConnectionError):
            data = await client.reader.read()
        assert not data.endswith((b"0\r\n\r\n", b"abcd"))
        await until(lambda: server.connection_count == 0)
        assert stream.closed.is_set()
    assert [record.getMessage() for record in caplog.records] == ["GET / failed"]


async def test_a_stream_is_closed_when_its_client_leaves() -> None:
    for leave in ("abort", "eof"):
        stream = Stream(b"abc", endless=True)
        async with serving(answering(Response(200, [], stream()))) as server:
            client = await Client.to(server)
            await client.send(head())
            await client.head()
            if leave == "abort":
                client.writer.transport.abort()
            else:
                client.writer.write_eof()
            await stream.closed.wait()
            await client.close()


async def test_a_stream_waits_for_a_slow_client() -> None:
    stream = Stream(*[b"a" * 65536] * 400)
    async with connected(answering(Response(200, [], stream()))) as (server, client):
        await client.send(head())
        await client.head()
        (connection,) = server._connections
        for _ in range(3000):
            await asyncio.sleep(0)
        assert stream.taken < 400
        assert connection._transport.get_write_buffer_size() < 300_000
        assert sum([len(chunk) async for chunk in client.chunks()]) == 400 * 65536


async def test_the_next_request_waits_for_a_slow_client() -> None:
    seen: list[str] = []

    async def handler(request: Request) -> Response:
        seen.append(request.path)
        return Response(200, [], b"a" * 10_000_000)

    async with connected(handler) as (_, client):
        await client.send(head("GET", "/0") + head("GET", "/1"))
        await client.head()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert seen == ["/0"]
        assert len(await client.reader.readexactly(10_000_000)) == 10_000_000
        assert len((await client.answer()).body) == 10_000_000


async def test_head_requests_get_no_body() -> None:
    stream = Stream(b"abc")

    async def handler(request: Request) -> Response:
        match request.path:
            case "/bytes":
                return Response(200, [], b"abc")
            case "/length":
                return Response(200, [], b"", length=5_000_000_000)
            case "/stream":
                return Response(200, [], stream(), length=3)
        return Response(200, [], Stream(b"abc")())

    async with connected(handler) as (_, client):
        for path, length in (("/bytes", "3"), ("/length", "5000000000"), ("/stream", "3")):
            answer = await client.ask(head("HEAD", path))
            assert (answer.status, answer.headers["content-length"]) == (200, length)
        assert (await client.ask(head("HEAD", "/chunked"))).headers[
            "transfer-encoding"
        ] == "chunked"
        assert stream.taken == 0


@pytest.mark.parametrize("status", [204, 304])
async def test_some_statuses_have_no_body(status: int) -> None:
    async def handler(request: Request) -> Response:
        body = Stream(b"abc")() if request.path == "/stream" else b"abc"
        return Response(status, [("ETag", '"x"')], body)

    async with connected(handler) as (_, client):
        for path in ("/bytes", "/stream"):
            answer = await client.ask(head("GET", path))
            assert (answer.status, answer.headers["etag"]) == (status, '"x"')
            assert not {"content-length", "transfer-encoding"} & answer.headers.keys()


async def test_large_bodies_arrive_whole() -> None:
    data = bytes(range(256)) * 20_000

    async def handler(_: Request) -> Response:
        return Response(200, [], data)

    async with connected(handler, HttpLimits()) as (_, client):
        assert (await client.ask(head())).body == data
