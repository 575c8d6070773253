"""Streams: order, back-pressure, and how they end."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.sandbox.box import Answer, BoxGone, Exited
from lambent.sandbox.channel import PAYLOAD_BYTES_MAX
from lambent.sandbox.streams import BYTES_MAX, Stream, StreamBroken, collected


@given(st.lists(st.binary(max_size=100)), st.booleans())
def test_bytes_come_out_as_they_went_in(parts: list[bytes], fails: bool) -> None:
    async def work() -> None:
        stream = Stream()
        for part in parts:
            stream.feed(part)
        if fails:
            stream.fail(StreamBroken("Function.Late", b"{}"))
        stream.finish()
        stream.feed(b"late")
        got = await collected(Answer(payload=b"", content_type="a/b", stream=stream))
        if fails:
            assert got == Answer(payload=b"{}", error_type="Function.Late")
        else:
            assert got == Answer(payload=b"".join(parts), content_type="a/b")

    asyncio.run(work())


def test_a_full_stream_has_room_once_it_was_read() -> None:
    async def work() -> None:
        rooms: list[int] = []
        stream = Stream(lambda: rooms.append(1))
        stream.feed(b"x" * BYTES_MAX)
        assert not stream.full
        stream.feed(b"y")
        assert stream.full
        waiting = asyncio.create_task(stream.room())
        await asyncio.sleep(0)
        assert not waiting.done()
        await anext(stream)
        await waiting
        assert rooms == [1]
        stream.feed(b"z" * BYTES_MAX)
        assert stream.full
        stream.abandon()
        assert not stream.full
        stream.feed(b"dropped")
        stream.finish()
        assert [part async for part in stream] == []

    asyncio.run(work())


def test_the_end_of_the_process_comes_after_what_it_had_sent() -> None:
    async def work() -> None:
        stream = Stream()
        reading = asyncio.create_task(anext(stream))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        stream.feed(b"a")
        stream.fail(BoxGone(Exited(1)))
        stream.fail(StreamBroken("Runtime.TruncatedResponse", b""))
        assert await reading == b"a"
        assert stream.ended.done()
        with pytest.raises(BoxGone):
            await anext(stream)

    asyncio.run(work())


def test_what_a_buffered_invoke_cannot_take_is_an_error_but_read_to_its_end() -> None:
    async def work() -> None:
        for extra, error in ((0, ""), (1, "Function.ResponseSizeTooLarge")):
            stream = Stream()
            stream.feed(b"x" * PAYLOAD_BYTES_MAX)
            stream.feed(b"y" * extra)
            stream.finish()
            got = await collected(Answer(payload=b"", stream=stream))
            assert got.error_type == error
        plain = Answer(payload=b"1")
        assert await collected(plain) is plain

    asyncio.run(work())
