"""The server as a whole: listening, limits, draining, closing, gigabytes, and junk."""

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambent.net import HttpLimits, Request, Response, serve
from tests.loops import run
from tests.net.http_client import Client, connected, echo, head, serving, turns, until


async def test_a_free_port_is_found() -> None:
    async with serving(echo) as one, serving(echo) as other:
        assert one.port != other.port
        assert one.port > 0


async def test_a_taken_port_is_an_error() -> None:
    async with serving(echo) as server:
        with pytest.raises(OSError, match="address already in use"):
            await serve(echo, port=server.port)


async def test_a_bound_socket_can_be_given() -> None:
    sock = socket.create_server(("127.0.0.1", 0))
    server = await serve(echo, sock=sock)
    assert server.port == sock.getsockname()[1]
    client = await Client.to(server)
    assert (await client.ask(head())).status == 200
    await client.close()
    await server.close()


async def test_a_unix_socket(tmp_path: Path) -> None:
    peers: list[str] = []

    async def handler(request: Request) -> Response:
        peers.append(request.peer)
        return await echo(request)

    server = await serve(handler, path=tmp_path / "s")
    client = Client(*await asyncio.open_unix_connection(str(tmp_path / "s")))
    assert (await client.ask(head())).status == 200
    assert (server.port, peers) == (0, [""])
    await client.close()
    await server.close()


async def test_peer_and_date() -> None:
    async def handler(request: Request) -> Response:
        return Response(200, [], request.peer.encode())

    server = await serve(handler, now=lambda: 784111777.0)
    client = await Client.to(server)
    answer = await client.ask(head())
    assert (answer.body, answer.headers["date"]) == (b"127.0.0.1", "Sun, 06 Nov 1994 08:49:37 GMT")
    await client.close()
    await server.close()


async def test_one_connection_too_many_is_answered_503() -> None:
    async with serving(echo, HttpLimits(connections_max=2)) as server:
        clients = [await Client.to(server) for _ in range(2)]
        for client in clients:
            assert (await client.ask(head())).status == 200
        third = await Client.to(server)
        assert (await third.answer()).status == 503
        assert await third.at_end()
        await third.close()
        await clients.pop().close()
        await until(lambda: server.connection_count == 1)
        again = await Client.to(server)
        assert (await again.ask(head())).status == 200
        await again.close()
        await clients[0].close()


async def test_the_sweep_runs_only_while_there_are_connections() -> None:
    async with serving(echo) as server:
        assert server._timer is None
        client = await Client.to(server)
        await client.ask(head())
        assert server._timer is not None
        server._tick()
        assert server.connection_count == 1
        await client.close()
        await until(lambda: server.connection_count == 0)
        assert server._timer is None


async def test_drain_lets_requests_finish_and_closes_idle_connections() -> None:
    go, started = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        if request.path == "/slow":
            started.set()
            await go.wait()
        return Response(200, [], b"done")

    async with serving(handler) as server:
        idle, busy = await Client.to(server), await Client.to(server)
        await idle.ask(head())
        await busy.send(head("GET", "/slow"))
        await started.wait()
        draining = asyncio.ensure_future(server.drain(30))
        assert await idle.at_end()
        with pytest.raises(OSError, match="refused"):
            await Client.to(server)
        assert not draining.done()
        go.set()
        answer = await busy.answer()
        assert (answer.body, answer.headers["connection"]) == (b"done", "close")
        assert await busy.at_end()
        assert await draining
        await idle.close()
        await busy.close()


async def test_drain_says_when_time_was_too_short_and_close_cancels() -> None:
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def handler(_: Request) -> Response:
        started.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return Response(200)

    async with serving(handler) as server:
        client = await Client.to(server)
        await client.send(head())
        await started.wait()
        assert not await server.drain(0)
        await server.close()
        assert cancelled.is_set()
        assert server.connection_count == 0
        await server.close()
        await client.close()


async def test_close_cancels_what_outlived_its_client() -> None:
    started = asyncio.Event()

    async def handler(_: Request) -> Response:
        started.set()
        await asyncio.Event().wait()
        return Response(200)

    async with serving(handler) as server:
        client = await Client.to(server)
        await client.send(head())
        await started.wait()
        client.writer.transport.abort()
        await turns(50)
        assert server.connection_count == 1


async def test_many_clients_at_once() -> None:
    async def one(server_port: int, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server_port)
        client = Client(reader, writer)
        for turn in range(5):
            body = f"{number}/{turn}".encode() * 50
            assert (
                await client.ask(head("PUT", "/", f"Content-Length: {len(body)}") + body)
            ).body == body
        await client.close()

    async with serving(echo) as server, asyncio.TaskGroup() as group:
        for number in range(100):
            group.create_task(one(server.port, number))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_upload_larger_than_memory_is_streamed(framing: str) -> None:
    total, piece = 96 * 2**20, b"a" * 2**20
    seen = peak = 0

    async def handler(request: Request) -> Response:
        nonlocal seen, peak
        async for chunk in request.body.chunks():
            seen += len(chunk)
            peak = max(peak, resident_bytes())
        return Response(200, [], b"done")

    async with connected(handler) as (_, client):
        line = f"Content-Length: {total}" if framing == "length" else "Transfer-Encoding: chunked"
        await client.send(head("PUT", "/", line))
        before = peak = resident_bytes()
        for _ in range(total // len(piece)):
            if framing == "chunked":
                await client.send(b"%x\r\n" % len(piece))
            await client.send(piece)
            if framing == "chunked":
                await client.send(b"\r\n")
        if framing == "chunked":
            await client.send(b"0\r\n\r\n")
        assert (await client.answer()).body == b"done"
    assert seen == total
    assert peak - before < 24 * 2**20


async def test_a_download_larger_than_memory_is_streamed() -> None:
    total, piece = 96 * 2**20, b"a" * 2**18

    async def handler(_: Request) -> Response:
        async def stream():
            for _ in range(total // len(piece)):
                yield piece

        return Response(200, [], stream(), length=total)

    async with connected(handler) as (_, client):
        await client.send(head())
        await client.head()
        before = peak = resident_bytes()
        left = total
        while left:
            left -= len(await client.reader.read(2**18))
            peak = max(peak, resident_bytes())
    assert peak - before < 24 * 2**20


WORDS = (
    b"GET / HTTP/1.1\r\n", b"POST /x HTTP/1.1\r\n", b"CONNECT a:1 HTTP/1.1\r\n",
    b"Host: a\r\n", b"X-A: b\r\n",
    b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: 100-continue\r\n",
    b"Connection: close\r\n", b"Upgrade: h2c\r\nConnection: upgrade\r\n", b"HTTP/1.0\r\n",
    b"\r\n", b"hello",
    b"5\r\nhello\r\n", b"5\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"\0", b":", b" ",
)  # fmt: skip
SENTENCES = st.lists(st.sampled_from(WORDS), min_size=1, max_size=30).map(b"".join)
JUNK = st.one_of(st.binary(min_size=1, max_size=300), SENTENCES)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(JUNK, st.booleans()), min_size=1, max_size=4), st.booleans())
def test_junk_never_harms_the_server(pieces: list[tuple[bytes, bool]], polite: bool) -> None:
    async def check() -> None:
        async with serving(echo) as server:
            client = await Client.to(server)
            try:
                for data, pause in pieces:
                    await client.send(data)
                    if pause:
                        await turns(5)
                if polite:
                    client.writer.write_eof()
                    answers = await client.reader.read()
                    assert b" 500 " not in answers
            except ConnectionError:
                pass
            await client.close()
            await until(lambda: server.connection_count == 0)  # no connection is leaked
            good = await Client.to(server)
            assert (await good.ask(head())).status == 200
            await good.close()

    run(check())


@pytest.mark.parametrize("interrupt", [lambda client: client.writer.transport.abort()])
async def test_connections_that_come_and_go_leave_nothing(
    interrupt: Callable[[Client], None],
) -> None:
    async with serving(echo) as server:
        for size in range(0, 120, 7):
            client = await Client.to(server)
            await client.send(
                (head("PUT", "/", "Content-Length: 50") + b"a" * 50)[:size] or b"\r\n"
            )
            interrupt(client)
        await until(lambda: server.connection_count == 0)
