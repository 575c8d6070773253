"""Ranges against a brute-force reading of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.services.s3.rules.ranges import Span, parse_copy_range, parse_range, part_span, pieces


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-8", Span(0, 9)),
        ("bytes=0-0", Span(0, 1)),
        ("bytes=1-1", Span(1, 1)),
        ("bytes=1-", Span(1, 9)),
        ("bytes=-2", Span(8, 2)),
        ("bytes=-15", Span(0, 10)),
        ("bytes=0-100", Span(0, 10)),
        ("bytes=-", None),
        ("bytes=0--1", None),
        ("bytes=-1-", None),
        ("bytes=1-0", None),
        ("bytes=0-1,3-4,7-9", None),
        ("0-8", None),
        ("bytes=٣-٤", None),
    ],
)
def test_recorded_ranges(header: str, span: Span | None) -> None:
    assert parse_range(header, 10) == span


@pytest.mark.parametrize("header", ["bytes=-0", "bytes=10-", "bytes=100-200"])
def test_unsatisfiable(header: str) -> None:
    with pytest.raises(AwsError) as error:
        parse_range(header, 10)
    assert (error.value.code, error.value.status) == ("InvalidRange", 416)
    assert error.value.fields == {"RangeRequested": header, "ActualObjectSize": 10}


def test_nothing_of_an_empty_object_is_satisfiable() -> None:
    for header in ("bytes=0-", "bytes=-1", "bytes=0-0"):
        with pytest.raises(AwsError, match="not satisfiable"):
            parse_range(header, 0)


@given(st.binary(min_size=1, max_size=40), st.integers(0, 50), st.integers(0, 50))
def test_ranges_are_slices(data: bytes, first: int, last: int) -> None:
    expected = data[first : last + 1]
    try:
        span = parse_range(f"bytes={first}-{last}", len(data))
    except AwsError:
        assert first >= len(data)
        return
    if span is None:
        assert last < first
        return
    assert data[span.start : span.start + span.length] == expected
    assert span.content_range(len(data)) == (
        f"bytes {first}-{first + len(expected) - 1}/{len(data)}"
    )


@given(st.lists(st.binary(max_size=9), max_size=8), st.data())
def test_pieces_cover_the_span(blobs: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(blobs)
    start = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, len(whole) - start))
    found = pieces(Span(start, length), [len(blob) for blob in blobs])
    assert all(n > 0 for _, _, n in found)
    assert b"".join(blobs[i][at : at + n] for i, at, n in found) == whole[start : start + length]


def test_parts() -> None:
    assert part_span(2, [5, 3]) == Span(5, 3)
    with pytest.raises(AwsError) as error:
        part_span(10, [5, 3])
    assert error.value.fields == {"ActualPartCount": 2, "PartNumberRequested": 10}


def test_copy_ranges() -> None:
    assert parse_copy_range("bytes=0-8", 10) == Span(0, 9)
    for header in ("0-8", "bytes=-2", "bytes=1-", "bytes=1-0", "bytes=0-1,3-4", "bytes=-"):
        with pytest.raises(AwsError, match="must be of the form bytes=first-last"):
            parse_copy_range(header, 10)
    with pytest.raises(AwsError, match="source object of size: 10"):
        parse_copy_range("bytes=0-100", 10)
    with pytest.raises(AwsError, match="invalid for the source object size"):
        parse_copy_range("bytes=100-200", 10)
