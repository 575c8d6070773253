"""Bodies while they arrive: read whole or by chunks, bounded, broken off."""

import asyncio
from collections.abc import Awaitable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.net import BodyTooLarge, BodyTruncated
from lambent.net.body import IncomingBody
from tests.loops import run
from tests.net.http_client import turns


class Source:
    def __init__(self) -> None:
        self.steered = self.continued = 0

    def steer(self) -> None:
        self.steered += 1

    def send_continue(self) -> None:
        self.continued += 1


def make(length: int | None = None, buffer: int = 1000, expects: bool = False) -> IncomingBody:
    return IncomingBody(Source(), length, buffer, expects)


def at_once(work: Awaitable[bytes]) -> bytes:
    """The result of work that must not suspend."""
    stepped = work.__await__()
    with pytest.raises(StopIteration) as ended:
        next(stepped)
    result = ended.value.value
    assert isinstance(result, bytes)
    return result


def test_a_body_that_is_here_is_read_without_suspending() -> None:
    body = make(3)
    body.feed(b"abc")
    body.finish()
    assert at_once(body.read(3)) == b"abc"
    empty = make()
    empty.finish()
    assert at_once(empty.read(0)) == b""


async def test_read_waits_for_the_rest() -> None:
    body = make()
    reading = asyncio.ensure_future(body.read(6))
    for part in (b"ab", b"cd", b"ef"):
        await turns(2)
        assert not reading.done()
        body.feed(part)
    await turns(2)
    body.finish()
    assert await reading == b"abcdef"


async def test_an_announced_length_over_the_limit_is_refused_at_once() -> None:
    with pytest.raises(BodyTooLarge):
        await make(length=4).read(3)


async def test_chunks_over_the_limit_are_refused_as_they_come() -> None:
    body = make()
    reading = asyncio.ensure_future(body.read(3))
    await turns(2)
    body.feed(b"ab")
    body.feed(b"cd")
    with pytest.raises(BodyTooLarge):
        await reading
    assert not body.full


async def test_a_body_that_breaks_off() -> None:
    body = make(4)
    body.feed(b"abc")
    body.fail()
    with pytest.raises(BodyTruncated):
        await body.read(4)
    body = make(4)
    reading = asyncio.ensure_future(body.read(4))
    await turns(2)
    body.fail()
    with pytest.raises(BodyTruncated):
        await reading
    whole = make(3)
    whole.feed(b"abc")
    whole.finish()
    whole.fail()  # too late to matter
    assert await whole.read(3) == b"abc"


async def test_chunks_give_what_came_and_then_say_that_it_broke_off() -> None:
    body = make()
    body.feed(b"abc")
    body.fail()
    chunks = body.chunks()
    assert await anext(chunks) == b"abc"
    with pytest.raises(BodyTruncated):
        await anext(chunks)


async def test_chunks_ask_for_more_as_they_are_taken() -> None:
    source = Source()
    body = IncomingBody(source, None, 1000, False)
    body.feed(b"a" * 600)
    assert not body.full
    body.feed(b"b" * 600)
    assert body.full
    chunks = body.chunks()
    assert await anext(chunks) == b"a" * 600
    assert not body.full
    assert source.steered == 1
    body.finish()
    assert [chunk async for chunk in chunks] == [b"b" * 600]


async def test_a_body_is_read_once() -> None:
    body = make(0)
    body.finish()
    await body.read(0)
    with pytest.raises(AssertionError):
        await body.read(0)
    with pytest.raises(AssertionError):
        await anext(body.chunks())


async def test_continue_is_asked_for_by_the_first_read_that_must_wait() -> None:
    source = Source()
    body = IncomingBody(source, 2, 1000, True)
    assert source.continued == 0
    reading = asyncio.ensure_future(body.read(2))
    await turns(2)
    body.feed(b"a")
    await turns(2)
    body.feed(b"b")
    body.finish()
    assert (await reading, source.continued) == (b"ab", 1)
    unasked = IncomingBody(source, 2, 1000, True)
    unasked.feed(b"ab")  # sent without waiting
    unasked.finish()
    assert (await unasked.read(2), source.continued) == (b"ab", 1)


async def test_draining() -> None:
    assert not await make(length=101).drain(100)
    assert not await make(length=1, expects=True).drain(100)
    broken = make()
    broken.fail()
    assert not await broken.drain(100)

    body = make(length=150)
    body.feed(b"a" * 60)
    draining = asyncio.ensure_future(body.drain(100))
    await turns(2)
    body.feed(b"a" * 90)
    assert not body.full
    body.finish()
    assert await draining

    endless = make()
    draining = asyncio.ensure_future(endless.drain(100))
    await turns(2)
    endless.feed(b"a" * 101)
    assert not await draining


async def test_single_bytes_do_not_cost_an_object_each() -> None:
    body = make(buffer=10**9)
    for _ in range(100_000):
        body.feed(b"a")
    body.finish()
    assert len(body._parts) < 10
    chunks = [chunk async for chunk in body.chunks()]
    assert b"".join(chunks) == b"a" * 100_000
    assert {type(chunk) for chunk in chunks} == {bytes}


@given(st.lists(st.binary(min_size=1, max_size=2000), max_size=12), st.booleans(), st.data())
def test_what_goes_in_comes_out(parts: list[bytes], whole: bool, data: st.DataObject) -> None:
    pauses = data.draw(st.lists(st.integers(0, 2), min_size=len(parts), max_size=len(parts)))

    async def chunked(body: IncomingBody) -> bytes:
        return b"".join([chunk async for chunk in body.chunks()])

    async def check() -> None:
        body = make()
        reading = asyncio.ensure_future(body.read(100_000) if whole else chunked(body))
        for part, pause in zip(parts, pauses, strict=True):
            await turns(pause)
            body.feed(part)
        body.finish()
        assert await reading == b"".join(parts)

    run(check())
