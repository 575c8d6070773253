"""One connection on a real socket: order, keep-alive, bodies, disconnects, deadlines."""

import asyncio
import contextvars
import logging
import socket

import pytest

from lambent.net import BodyTooLarge, BodyTruncated, HttpLimits, Request, Response
from tests.net.http_client import Client, connected, echo, head, serving, turns, until

FAR_S = 1_000_000.0
"""Further into the future than any deadline."""


class Gate:
    """A handler that holds each request until it is let through."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.open = asyncio.Event()
        self.ended: list[str] = []
        self.arrived = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        self.seen.append(request.path)
        self.arrived.set()
        await self.open.wait()
        self.ended.append(request.path)
        return Response(200, [], request.path.encode())


async def test_a_connection_is_kept_for_many_requests() -> None:
    async with connected(echo) as (_, client):
        for number in range(3):
            data = head("POST", f"/{number}?q", "Content-Length: 3") + b"abc"
            answer = await client.ask(data)
            assert (answer.status, answer.body) == (200, b"abc")
            assert answer.headers["x-was"] == f"POST /{number} q"
            assert answer.headers["content-length"] == "3"
            assert answer.headers["date"].endswith(" GMT")
            assert "connection" not in answer.headers
            assert "server" not in answer.headers


async def test_nagle_is_off() -> None:
    async with connected(echo) as (server, client):
        await client.ask(head())
        (connection,) = server._connections
        sock = connection._transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize(
    ("request_head", "word", "kept"),
    [(head("GET", "/", "Connection: close"), "close", False),
     (b"GET / HTTP/1.0\r\n\r\n", "close", False),
     (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "keep-alive", True)],
)  # fmt: skip
async def test_who_asks_for_the_end_gets_it(request_head: bytes, word: str, kept: bool) -> None:
    async with connected(echo) as (_, client):
        answer = await client.ask(request_head)
        assert answer.headers["connection"] == word
        if kept:
            assert (await client.ask(request_head)).status == 200
        else:
            assert await client.at_end()


async def test_pipelined_requests_are_answered_in_order_and_one_at_a_time() -> None:
    gate = Gate()
    async with connected(gate) as (_, client):
        await client.send(b"".join(head("GET", f"/{n}") for n in range(5)))
        await gate.arrived.wait()
        await turns()
        assert gate.seen == ["/0"]
        gate.open.set()
        assert [(await client.answer()).body for _ in range(5)] == [
            b"/0",
            b"/1",
            b"/2",
            b"/3",
            b"/4",
        ]
        assert (await client.ask(head("GET", "/5"))).body == b"/5"


async def test_nothing_more_is_read_while_requests_wait() -> None:
    gate = Gate()
    async with connected(gate) as (server, client):
        await client.send(head("GET", "/0") + head("GET", "/1"))
        await gate.arrived.wait()
        await turns()
        await client.send(head("GET", "/2"))
        await turns(50)
        (connection,) = server._connections
        assert [exchange.request.path for exchange in connection._waiting] == ["/1"]
        gate.open.set()
        assert [(await client.answer()).body for _ in range(3)] == [b"/0", b"/1", b"/2"]


async def test_too_many_pipelined_requests_end_the_connection() -> None:
    async with connected(echo, HttpLimits(pipelined_max=3)) as (_, client):
        await client.send(head() * 10)
        statuses = [(await client.answer()).status for _ in range(5)]
        assert statuses == [200] * 4 + [400]
        assert await client.at_end()


async def test_bad_bytes_get_400_after_the_answers_before_them() -> None:
    async with connected(echo) as (_, client):
        await client.send(head() + b"garbage\r\n\r\n")
        assert [(await client.answer()).status for _ in range(2)] == [200, 400]
        assert await client.at_end()


async def test_nothing_is_handled_after_a_request_that_closes() -> None:
    gate = Gate()
    gate.open.set()
    async with connected(gate) as (_, client):
        await client.send(head("GET", "/0", "Connection: close") + head("GET", "/1"))
        assert (await client.answer()).body == b"/0"
        assert await client.at_end()
        assert gate.seen == ["/0"]


async def test_bodies_by_length_and_by_chunks() -> None:
    async with connected(echo) as (_, client):
        await client.send(head("PUT", "/", "Content-Length: 6") + b"ab")
        await turns()
        await client.send(b"cdef")
        assert (await client.answer()).body == b"abcdef"
        await client.send(head("PUT", "/", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n")
        await turns()
        await client.send(b"3;x=y\r\ndef\r\n0\r\n\r\n")
        assert (await client.answer()).body == b"abcdef"


async def test_trailers_reach_the_handler() -> None:
    async def handler(request: Request) -> Response:
        body = await request.body.read(100)
        return Response(200, [], body + request.body.trailers["x-error"].encode())

    async with connected(handler) as (_, client):
        await client.send(head("POST", "/", "Transfer-Encoding: chunked") + b"1\r\na\r\n")
        await turns()
        await client.send(b"0\r\nX-Error: oops\r\n\r\n")
        assert (await client.answer()).body == b"aoops"


async def test_continue_is_sent_when_the_body_is_read() -> None:
    gate = asyncio.Event()

    async def handler(request: Request) -> Response:
        await gate.wait()
        return await echo(request)

    async with connected(handler) as (server, client):
        await client.send(head("PUT", "/", "Expect: 100-continue", "Content-Length: 3"))
        await turns(50)
        server.sweep(FAR_S)  # it is not the client's turn: nobody is late
        assert not client.reader._buffer
        gate.set()
        assert (await client.answer()).status == 100
        await client.send(b"abc")
        assert (await client.answer()).body == b"abc"


async def test_continue_is_not_sent_when_the_body_is_not_read() -> None:
    async def handler(_: Request) -> Response:
        return Response(403, [], b"no")

    async with connected(handler) as (_, client):
        answer = await client.ask(head("PUT", "/", "Expect: 100-continue", "Content-Length: 3"))
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        assert await client.at_end()


async def test_a_short_unread_body_is_read_away() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], request.path.encode())

    async with connected(handler) as (_, client):
        await client.send(head("PUT", "/0", "Content-Length: 6") + b"ab")
        assert (await client.answer()).body == b"/0"
        await client.send(b"cdef" + head("GET", "/1"))
        assert (await client.answer()).body == b"/1"


async def test_a_long_unread_body_ends_the_connection_after_the_answer() -> None:
    async def handler(_: Request) -> Response:
        return Response(403, [], b"no")

    async with connected(handler) as (server, client):
        await client.send(head("PUT", "/", "Content-Length: 100000000"))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (403, "close")
        await client.send(b"a" * 3_000_000)  # dropped, and not answered with a reset
        assert await client.at_end()
        server.sweep(FAR_S)
        await turns()
        assert server.connection_count == 0


async def test_an_endless_unread_body_ends_the_connection() -> None:
    async def handler(_: Request) -> Response:
        return Response(200, [], b"ok")

    async with connected(handler) as (_, client):
        await client.send(head("PUT", "/", "Transfer-Encoding: chunked"))
        assert (await client.answer()).body == b"ok"
        await client.send(b"10000\r\n" + b"a" * 65536 + b"\r\n")
        for _ in range(8):
            await client.send(b"10000\r\n" + b"a" * 65536 + b"\r\n")
        assert await client.at_end()


async def test_errors_of_bodies_have_answers_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], await request.body.read(10))

    async with serving(handler) as server:
        client = await Client.to(server)
        assert (await client.ask(head("PUT", "/", "Content-Length: 11") + b"a" * 11)).status == 413
        assert await client.at_end()
        await client.close()
        client = await Client.to(server)
        await client.send(head("PUT", "/", "Content-Length: 5") + b"abc")
        client.writer.write_eof()
        assert (await client.answer()).status == 408
        assert await client.at_end()
        await client.close()
        client = await Client.to(server)
        await client.send(head("PUT", "/", "Transfer-Encoding: chunked") + b"xyz\r\n")
        assert (await client.answer()).status == 408  # bad framing inside the body breaks it off
        assert await client.at_end()
        await client.close()
    assert not caplog.records


async def test_a_handlers_bug_is_an_empty_500(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(request: Request) -> Response:
        match request.path:
            case "/header":
                return Response(200, [("X", "a\r\nb")], b"")
            case "/length":
                return Response(200, [], b"abc", length=4)
        raise KeyError("bug")

    async with serving(handler) as server:
        for path in ("/raise", "/header", "/length"):
            client = await Client.to(server)
            answer = await client.ask(head("GET", path))
            assert (answer.status, answer.body) == (500, b"")
            assert answer.headers["connection"] == "close"
            assert await client.at_end()
            await client.close()
    assert [record.getMessage() for record in caplog.records] == [
        "GET /raise failed", "GET /header failed", "GET /length failed",
    ]  # fmt: skip
    assert all(record.levelno == logging.ERROR for record in caplog.records)


async def test_half_closed_clients_get_their_answer() -> None:
    gate = Gate()
    async with connected(gate) as (_, client):
        await client.send(head("GET", "/0") + head("GET", "/1"))
        client.writer.write_eof()
        await gate.arrived.wait()
        await turns(50)
        gate.open.set()
        assert [(await client.answer()).body for _ in range(2)] == [b"/0", b"/1"]
        assert await client.at_end()


async def test_a_handler_runs_on_when_its_client_goes_away() -> None:
    gate = Gate()
    async with serving(gate) as server:
        client = await Client.to(server)
        await client.send(head("POST", "/0"))
        await gate.arrived.wait()
        client.writer.transport.abort()
        await turns(50)
        assert server.connection_count == 1
        gate.open.set()
        await turns(50)
        assert gate.ended == ["/0"]
        assert server.connection_count == 0


async def test_a_reader_of_the_body_notices_that_the_client_has_gone() -> None:
    caught: list[type[Exception]] = []
    started = asyncio.Event()

    async def handler(request: Request) -> Response:
        started.set()
        try:
            async for _ in request.body.chunks():
                pass
        except BodyTruncated as error:
            caught.append(type(error))
        return Response(200)

    async with serving(handler) as server:
        client = await Client.to(server)
        await client.send(head("PUT", "/", "Content-Length: 5") + b"abc")
        await started.wait()
        client.writer.transport.abort()
        await until(lambda: server.connection_count == 0)
        assert caught == [BodyTruncated]


async def test_time_limits_inside_handlers_work() -> None:
    async def handler(_: Request) -> Response:
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return Response(504, [], b"late")
        return Response(200)

    async with connected(handler) as (_, client):
        assert (await client.ask(head())).status == 504
        assert (await client.ask(head())).status == 504


async def test_a_handler_that_cancels_itself_ends_the_connection() -> None:
    async def handler(_: Request) -> Response:
        raise asyncio.CancelledError

    async with connected(handler) as (_, client):
        await client.send(head())
        assert await client.at_end()


async def test_context_variables_do_not_leak_into_the_next_request() -> None:
    seen: list[str] = []
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")

    async def handler(_: Request) -> Response:
        seen.append(variable.get())
        variable.set("set")
        return Response(200)

    async with connected(handler) as (_, client):
        await client.ask(head())
        await client.ask(head())
    assert seen == ["unset", "unset"]


# --- deadlines, by a sweep at a time of our choice


async def test_an_idle_connection_is_closed() -> None:
    async with connected(echo, HttpLimits(keepalive_timeout_s=50)) as (server, client):
        await client.ask(head())
        now_s = asyncio.get_running_loop().time()
        server.sweep(now_s + 49)
        assert (await client.ask(head())).status == 200
        server.sweep(now_s + 52)
        assert await client.at_end()


async def test_a_head_that_does_not_end_gets_408() -> None:
    async with connected(echo, HttpLimits(head_timeout_s=30, keepalive_timeout_s=50)) as (
        server,
        client,
    ):
        await client.ask(head())
        now_s = asyncio.get_running_loop().time()
        await client.send(b"GET / HTTP/1.1\r\nX-A: b\r\n")
        await turns(50)
        server.sweep(now_s + 29)
        await client.send(b"X-B: c\r\n")  # a byte now and then does not buy more time
        await turns(50)
        server.sweep(now_s + 32)
        assert (await client.answer()).status == 408
        assert await client.at_end()


async def test_a_connection_that_says_nothing_is_closed() -> None:
    async with connected(echo, HttpLimits(head_timeout_s=30)) as (server, client):
        await turns(50)
        server.sweep(asyncio.get_running_loop().time() + 31)
        assert await client.at_end()


async def test_a_body_that_falls_silent_is_truncated() -> None:
    async with connected(echo, HttpLimits(body_idle_timeout_s=60)) as (server, client):
        now_s = asyncio.get_running_loop().time()
        await client.send(head("PUT", "/", "Content-Length: 5") + b"abc")
        await turns(50)
        server.sweep(now_s + 59)
        assert server.connection_count == 1
        server.sweep(now_s + 62)
        assert (await client.answer()).status == 408
        assert await client.at_end()


async def test_a_running_handler_has_no_deadline() -> None:
    gate = Gate()
    async with connected(gate) as (server, client):
        await client.send(head("PUT", "/", "Content-Length: 3") + b"abc")
        await gate.arrived.wait()
        server.sweep(FAR_S)
        gate.open.set()
        assert (await client.answer()).status == 200


async def test_a_client_that_takes_nothing_is_cut_off() -> None:
    stopped = asyncio.Event()

    async def handler(_: Request) -> Response:
        async def stream():
            try:
                while True:
                    yield b"a" * 65536
            finally:
                stopped.set()

        return Response(200, [], stream())

    async with connected(handler) as (server, client):
        await client.send(head())
        await client.head()
        (connection,) = server._connections
        await until(lambda: connection._writer.paused and client.reader._paused)
        now_s = asyncio.get_running_loop().time()
        server.sweep(now_s + 59)
        assert not stopped.is_set()
        await turns(100)
        server.sweep(FAR_S)  # might see progress since it was paused: then it watches on
        await turns(100)
        server.sweep(2 * FAR_S)
        await stopped.wait()
        await until(lambda: server.connection_count == 0)


async def test_reading_pauses_while_nobody_takes_the_body() -> None:
    go = asyncio.Event()

    async def handler(request: Request) -> Response:
        await go.wait()
        size = 0
        async for chunk in request.body.chunks():
            size += len(chunk)
        return Response(200, [], str(size).encode())

    total = 8_000_000
    async with connected(handler) as (server, client):
        client.writer.write(head("PUT", "/", f"Content-Length: {total}") + b"a" * total)
        await until(lambda: any(one._reading_paused for one in server._connections))
        (connection,) = server._connections
        body = connection._current.body
        assert body is not None
        assert 262_144 <= body._held_bytes <= 262_144 + 256_000
        server.sweep(FAR_S)  # it is not the client's turn: nobody is late
        go.set()
        assert (await client.answer()).body == str(total).encode()


async def test_too_large_is_raised_to_the_handler() -> None:
    async def handler(request: Request) -> Response:
        try:
            await request.body.read(2)
        except BodyTooLarge:
            return Response(400, [], b"TooLarge")
        return Response(200)

    async with connected(handler) as (_, client):
        answer = await client.ask(head("PUT", "/", "Content-Length: 3") + b"abc")
        assert (answer.status, answer.body) == (400, b"TooLarge")
        assert (await client.ask(head("PUT", "/", "Content-Length: 2") + b"ab")).status == 200
