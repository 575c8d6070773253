"""The reader against a sorted list: any batches, any place, both directions; and tokens."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.services.logs.cursors import END, START, Cursor, backward_token, forward_token, parse
from lambent.services.logs.reading import Event, Reader, take
from lambent.services.logs.streams import Stream
from lambent.store import open_store
from tests.loops import run

LOG = ("a", "r", "logs", "Events", "g", "s")
times = st.lists(st.lists(st.integers(1, 30), min_size=1, max_size=4), max_size=40)


@settings(max_examples=80, deadline=None)
@given(times, st.booleans(), st.integers(0, 32), st.integers(0, 32), st.integers(1, 5))
def test_pages_against_a_sorted_list(
    batches: list[list[int]], in_order: bool, since: int, until: int, limit: int
) -> None:
    """In order of arrival or not, pages forward and back are the same events, each once."""
    if in_order:
        flat = iter(sorted(at for batch in batches for at in batch))
        batches = [[next(flat) for _ in batch] for batch in batches]
    else:
        batches = [sorted(batch) for batch in batches]

    async def scenario() -> None:
        store = await open_store(None)
        stream = Stream(LOG)
        for batch in batches:
            await store.commit(stream.append([(at, str(at)) for at in batch], 0))
        every = sorted(
            (at, seq, index)
            for seq, batch in enumerate(batches, 1)
            for index, at in enumerate(batch)
            if since <= at < until
        )
        if in_order:
            assert stream.totals.ordered
        reader = Reader(store, stream, since, until)
        assert await _forward(reader, limit) == every
        assert await _backward(reader, limit) == every[::-1]
        for cursor in [*every, (15, 3, 1), (15, 0, 0)]:
            after = await take(reader.forward(cursor), 1000)
            assert [event[:3] for event in after] == [one for one in every if one >= cursor]
            before = await take(reader.backward(cursor), 1000)
            assert [event[:3] for event in before[::-1]] == [one for one in every if one < cursor]
        await store.close()

    run(scenario())


async def _forward(reader: Reader, limit: int) -> list[Cursor]:
    found: list[Cursor] = []
    cursor = START
    while events := await take(reader.forward(cursor), limit):
        found += [event[:3] for event in events]
        time_ms, seq, index = found[-1]
        cursor = (time_ms, seq, index + 1)
    return found


async def _backward(reader: Reader, limit: int) -> list[Cursor]:
    found: list[Cursor] = []
    cursor = END
    while events := await take(reader.backward(cursor), limit):
        found += [event[:3] for event in events]
        cursor = found[-1]
    return found


cursors = st.tuples(st.integers(0, 10**14), st.integers(0, 2**40), st.integers(0, 10_001))


@given(cursors, st.text(max_size=9), st.text(max_size=9))
def test_tokens_say_where_and_on_which_stream(cursor: Cursor, stream: str, other: str) -> None:
    assert parse(stream, forward_token(stream, cursor)) == (True, cursor)
    assert parse(stream, backward_token(stream, cursor)) == (False, cursor)
    assert len(forward_token(stream, cursor)) == len("f/") + 56 + len("/s")
    if other != stream:
        with pytest.raises(AwsError):
            parse(other, forward_token(stream, cursor))


@given(st.text(max_size=70))
def test_other_texts_are_no_tokens(text: str) -> None:
    with pytest.raises(AwsError):
        parse("s", text)


async def test_a_page_has_at_least_one_event() -> None:
    async def events() -> AsyncIterator[Event]:
        for index in range(3):
            event: Event = (1, 1, index, 1, "x" * 2_000_000)
            yield event

    assert len(await take(events(), 10)) == 1
