"""The port's protocol at the server's end, with a test as the guest."""

import asyncio
import json
import socket
from typing import Any

import pytest

from lambent.sandbox.microvm import link as protocol
from lambent.sandbox.microvm.link import CHANNEL, HEADER, Link, frame
from tests.loops import run


class Far:
    """The guest's end."""

    def __init__(self, targets: list[tuple[str, int]] | None = None) -> None:
        ours, self.sock = socket.socketpair()
        self.sock.setblocking(False)
        self.heard: list[dict[str, Any]] = []
        self.output = bytearray()
        self.ended = asyncio.Event()
        self.link = Link(
            ours,
            on_control=self.heard.append,
            on_output=self.output.extend,
            on_end=self.ended.set,
            targets=targets or [],
        )
        self._rest = b""

    async def send(self, kind: int, stream: int, payload: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, frame(kind, stream, payload))

    async def next(self) -> tuple[int, int, bytes]:
        loop = asyncio.get_running_loop()
        while True:
            if len(self._rest) >= HEADER.size:
                kind, stream, size = HEADER.unpack_from(self._rest)
                end = HEADER.size + size
                if len(self._rest) >= end:
                    payload, self._rest = self._rest[HEADER.size : end], self._rest[end:]
                    return kind, stream, payload
            self._rest += await loop.sock_recv(self.sock, 65_536)

    async def close(self) -> None:
        self.link.close()
        await self.link.join()
        self.sock.close()


def test_control_output_and_credit() -> None:
    async def work() -> None:
        far = Far()
        far.link.tell({"a": 1})
        kind, stream, payload = await far.next()
        assert (kind, stream, json.loads(payload)) == (protocol.CONTROL, 0, {"a": 1})
        for _ in range(2):
            await far.send(protocol.OUTPUT, 0, b"x" * 40_000)
        kind, stream, payload = await far.next()
        assert (kind, stream, int.from_bytes(payload, "big")) == (protocol.CREDIT, 0, 80_000)
        assert len(far.output) == 80_000
        await far.close()

    run(work())


def test_a_stream_ends_in_a_socket_and_is_held_back_without_credit() -> None:
    async def work() -> None:
        far = Far()
        near, theirs = socket.socketpair()
        near.setblocking(False)
        loop = asyncio.get_running_loop()
        far.link.attach(CHANNEL, theirs)
        await far.send(protocol.DATA, CHANNEL, b"to the server")
        assert await loop.sock_recv(near, 100) == b"to the server"
        await asyncio.wait_for(loop.sock_sendall(near, b"y" * 300_000), 10)
        got = 0
        while got < protocol.WINDOW_BYTES:
            kind, stream, payload = await far.next()
            assert (kind, stream) == (protocol.DATA, CHANNEL)
            got += len(payload)
        assert got == protocol.WINDOW_BYTES
        await far.send(protocol.CREDIT, CHANNEL, (100_000).to_bytes(4, "big"))
        while got < 300_000:
            got += len((await far.next())[2])
        closed = asyncio.Event()
        far.link.when_closed(closed.set)
        await far.send(protocol.CLOSE, CHANNEL, b"")
        await asyncio.wait_for(closed.wait(), 10)
        assert await loop.sock_recv(near, 10) == b""
        near.close()
        await far.close()

    run(work())


def test_a_connection_goes_to_a_named_target_only() -> None:
    async def work() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readexactly(4))
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        far = Far([("127.0.0.1", port)])
        await far.send(protocol.OPEN, 7, b"\x00")
        await far.send(protocol.DATA, 7, b"ping")
        assert await far.next() == (protocol.DATA, 7, b"ping")
        assert await far.next() == (protocol.CLOSE, 7, b"")
        server.close()
        await server.wait_closed()
        await far.send(protocol.OPEN, 8, b"\x00")
        assert await far.next() == (protocol.CLOSE, 8, b"")
        await far.close()

    run(work())


BAD = {
    "an unknown type": frame(99, 1, b""),
    "a huge frame": HEADER.pack(protocol.DATA, 1, 1 << 30),
    "control that is no JSON": frame(protocol.CONTROL, 0, b"{"),
    "control that is no object": frame(protocol.CONTROL, 0, b"[]"),
    "a target that is not there": frame(protocol.OPEN, 5, b"\x09"),
    "the channel opened": frame(protocol.OPEN, 1, b"\x00"),
    "output over the credit": frame(protocol.OUTPUT, 0, b"x" * 65_536) * 2,
}


@pytest.mark.parametrize("what", BAD)
def test_whoever_breaks_the_rules_is_cut_off(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        far = Far([("127.0.0.1", 1)])
        far.link._output_window = 50_000
        near, theirs = socket.socketpair()
        far.link.attach(CHANNEL, theirs)
        await asyncio.get_running_loop().sock_sendall(far.sock, BAD[what])
        await asyncio.wait_for(far.ended.wait(), 10)
        near.close()
        await far.close()

    run(work())
