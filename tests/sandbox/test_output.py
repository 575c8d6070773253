"""Lines come out whole and in order, however the pipe cuts them."""

import asyncio
import os

from hypothesis import given
from hypothesis import strategies as st

from lambent.sandbox.output import LINE_BYTES_MAX, Lines, Output


@given(st.binary(max_size=200), st.data())
def test_any_chunking_gives_the_same_lines(stream: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    got: list[bytes] = []
    lines = Lines(got.append, records=False)
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        lines.feed(stream[start:end])
    lines.flush()
    expected = stream.split(b"\n")
    assert got == (expected if expected[-1] else expected[:-1])


def test_a_line_is_cut_at_its_limit_and_never_held_beyond_it() -> None:
    got: list[bytes] = []
    lines = Lines(got.append, records=False)
    for _ in range(5):
        lines.feed(b"x" * (LINE_BYTES_MAX // 2))
    assert [len(line) for line in got] == [LINE_BYTES_MAX] * 2
    lines.feed(b"y" * (2 * LINE_BYTES_MAX) + b"\nend\n")
    assert max(map(len, got)) == LINE_BYTES_MAX
    assert got[-1] == b"end"


def test_records_keep_their_lines_together_only_where_bootstraps_are_ours() -> None:
    for records, expected in ((True, b"a\nb"), (False, b"\x1ea\0b")):
        got: list[bytes] = []
        Lines(got.append, records=records).feed(b"\x1ea\0b\n")
        assert got == [expected]


def test_drain_takes_what_was_written_before_and_closing_is_idempotent() -> None:
    async def work() -> None:
        reading, writing = os.pipe()
        got: list[bytes] = []
        output = Output(reading, got.append, records=False)
        os.write(writing, b"one\ntwo")
        output.drain()
        assert got == [b"one", b"two"]
        os.close(writing)
        output.close()
        output.close()
        output.drain()

    asyncio.run(work())
