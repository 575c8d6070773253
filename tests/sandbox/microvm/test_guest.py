"""Process 1's loop, run here with a socket as its port: no mounts, no fork."""

import os
import socket
from collections.abc import Iterator

import pytest

from lambent.sandbox.microvm import guest as program
from lambent.sandbox.microvm import link
from lambent.sandbox.microvm.guest import Guest


@pytest.fixture
def pair() -> Iterator[tuple[Guest, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    guest = Guest(theirs.fileno(), None)
    yield guest, ours
    for stream in list(guest.streams):
        guest.drop(stream)
    for fd in (guest.wake, guest.wake_in):
        os.close(fd)
    ours.close()
    theirs.close()


def frames(sock: socket.socket, count: int) -> list[tuple[int, int, bytes]]:
    found = []
    for _ in range(count):
        header = sock.recv(program.HEADER.size, socket.MSG_WAITALL)
        kind, stream, size = program.HEADER.unpack(header)
        found.append((kind, stream, sock.recv(size, socket.MSG_WAITALL) if size else b""))
    return found


def test_both_ends_speak_the_same_protocol() -> None:
    for name in ("CONTROL", "OUTPUT", "OPEN", "DATA", "CLOSE", "CREDIT", "CHANNEL"):
        assert getattr(program, name) == getattr(link, name)
    assert program.HEADER.format == link.HEADER.format
    assert (program.WINDOW_BYTES, program.CHUNK_BYTES) == (link.WINDOW_BYTES, link.CHUNK_BYTES)
    assert program.STREAMS_MAX < link.STREAMS_MAX


def test_output_goes_before_the_answer(pair: tuple[Guest, socket.socket]) -> None:
    guest, server = pair
    near, far = socket.socketpair()
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    guest.output = reading
    guest.streams[program.CHANNEL] = program.Stream(far, after_output=True)
    near.send(b"answer")
    os.write(writing, b"printed")
    guest.turn()
    kinds = [(kind, data) for kind, _, data in frames(server, 2)]
    assert kinds == [(program.OUTPUT, b"printed"), (program.DATA, b"answer")]
    near.close()
    guest.turn()
    assert frames(server, 1) == [(program.CLOSE, program.CHANNEL, b"")]
    os.close(writing)
    os.close(reading)


def test_a_message_to_the_runtime_and_credit_for_it(pair: tuple[Guest, socket.socket]) -> None:
    guest, server = pair
    near, far = socket.socketpair()
    near.settimeout(10)
    guest.streams[program.CHANNEL] = program.Stream(far, after_output=True)
    got = b""
    for _ in range(2):
        server.sendall(link.frame(program.DATA, program.CHANNEL, b"z" * 40_000))
        wanted = len(got) + 40_000
        while len(got) < wanted:
            guest.turn()
            got += near.recv(100_000)
    kind, stream, payload = frames(server, 1)[0]
    assert (kind, stream, int.from_bytes(payload, "big")) == (program.CREDIT, 1, 80_000)
    near.close()


def test_connections_are_opened_by_target(pair: tuple[Guest, socket.socket]) -> None:
    guest, server = pair
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    guest.listeners[listener.fileno()] = (listener, 1)
    client = socket.create_connection(listener.getsockname())
    guest.turn()
    assert frames(server, 1) == [(program.OPEN, 2, b"\x01")]
    server.sendall(link.frame(program.DATA, 2, b"hello") + link.frame(program.CLOSE, 2, b""))
    guest.turn()
    client.settimeout(10)
    assert client.recv(10) == b"hello"
    assert client.recv(10) == b""
    client.close()
    listener.close()


def test_the_end_of_the_port_is_the_end(pair: tuple[Guest, socket.socket]) -> None:
    guest, server = pair
    server.shutdown(socket.SHUT_RDWR)
    guest.turn()
    assert guest.done
