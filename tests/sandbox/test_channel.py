"""Frames survive any cutting of the stream; junk ends the channel and nothing else."""

import asyncio
import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.sandbox.channel import (
    ERROR,
    HEADER,
    INVOKE,
    READY,
    RESULT,
    Channel,
    Frame,
    FrameError,
    Frames,
    encode,
)

frames = st.builds(
    Frame,
    kind=st.sampled_from([INVOKE, READY, RESULT, ERROR]),
    meta=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=3),
    payload=st.binary(max_size=300),
    sequence=st.integers(0, 2**32 - 1),
)


def wire(frame: Frame) -> bytes:
    meta = json.dumps(frame.meta).encode()
    return encode(frame.kind, meta, frame.payload, frame.sequence)


@given(st.lists(frames, max_size=8), st.data())
def test_any_chunking_gives_the_same_frames(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(wire(frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    reader, got = Frames(payload_bytes_max=200), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += list(reader.feed(memoryview(stream[start:end])))
    for frame in sent:
        if len(frame.payload) > 200:
            frame.payload, frame.too_large = b"", True
    assert got == sent


@pytest.mark.parametrize(
    "junk",
    [
        HEADER.pack(99, 0, 0, 0),
        encode(RESULT, b"not json"),
        encode(RESULT, b"[1]"),
        encode(RESULT, b"\xff\xfe"),
    ],
)
def test_junk_is_refused(junk: bytes) -> None:
    with pytest.raises(FrameError):
        list(Frames().feed(memoryview(junk)))


def test_a_channel_sends_what_the_socket_does_not_take_at_once() -> None:
    async def work() -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ended: asyncio.Future[None] = loop.create_future()
        got: list[Frame] = []
        channel = Channel(ours, got.append, lambda: ended.set_result(None))
        theirs.setblocking(False)
        reader, writer = await asyncio.open_unix_connection(sock=theirs)
        big = encode(INVOKE, b"{}", b"x" * 3_000_000)
        channel.send(big)
        channel.send(encode(INVOKE, b"{}", b"last"))
        assert await reader.readexactly(len(big)) == big
        assert (await reader.readexactly(18))[-4:] == b"last"
        writer.close()
        channel.close()
        channel.close()
        channel.send(b"after the end")
        assert not ended.done()

    asyncio.run(work())


def test_a_channel_reports_its_end_once_and_what_came_before_it() -> None:
    async def work() -> None:
        ours, theirs = socket.socketpair()
        got: list[Frame] = []
        ends: list[int] = []
        channel = Channel(ours, got.append, lambda: ends.append(1))
        theirs.sendall(encode(READY) + encode(RESULT, b"{}", b"p", 7))
        theirs.close()
        channel.drain()
        assert [frame.kind for frame in got] == [READY, RESULT]
        assert ends == [1]
        channel.drain()
        assert ends == [1]

    asyncio.run(work())
