"""Scalars and their spellings."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire.values import (
    Unparsable,
    format_blob,
    format_float,
    format_http_date,
    format_iso8601,
    format_unix,
    parse_blob,
    parse_boolean,
    parse_float,
    parse_integer,
    parse_timestamp,
)

SECONDS = st.integers(-2_000_000_000, 4_000_000_000)


@given(SECONDS)
def test_whole_seconds_survive_every_format(seconds: int) -> None:
    for write in (format_iso8601, format_http_date, format_unix):
        assert parse_timestamp(write(seconds)) == seconds


@given(SECONDS, st.integers(0, 999))
def test_milliseconds_survive(seconds: int, millis: int) -> None:
    when = seconds + millis / 1000
    for write in (format_iso8601, format_unix):
        assert parse_timestamp(write(when)) == pytest.approx(when, abs=0.0005)


@given(st.floats(), st.integers(), st.binary())
def test_numbers_and_blobs_survive(number: float, whole: int, data: bytes) -> None:
    back = parse_float(format_float(number))
    assert back == number or math.isnan(number)
    assert parse_integer(str(whole)) == whole
    assert parse_blob(format_blob(data)) == data


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2014-04-29T18:30:38Z", 1398796238),
        ("2014-04-29T20:30:38+02:00", 1398796238),
        ("2014-04-29T18:30:38.5Z", 1398796238.5),
        ("2014-04-29T18:30:38", 1398796238),
        ("Tue, 29 Apr 2014 18:30:38 GMT", 1398796238),
        ("Tue, 29 Apr 2014 18:30:38.250 GMT", 1398796238.25),
        ("1398796238", 1398796238),
        ("1.5e3", 1500),
    ],
)
def test_timestamps(text: str, seconds: float) -> None:
    assert parse_timestamp(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "x", "NaN", "1e400", "2014-13-01", "Tue, 29 Foo 2014", "9" * 30]
)
def test_malformed_timestamps(text: str) -> None:
    with pytest.raises(Unparsable):
        parse_timestamp(text)


@pytest.mark.parametrize("text", ["", "1_0", " 1", "1.5", "x", "9" * 99, "١"])
def test_malformed_integers(text: str) -> None:
    with pytest.raises(Unparsable):
        parse_integer(text)


def test_other_malformed_scalars() -> None:
    for parse, text in (
        (parse_float, "1_0"),
        (parse_float, "inf"),
        (parse_boolean, "yes"),
        (parse_blob, "a"),
        (parse_blob, "é"),
    ):
        with pytest.raises(Unparsable):
            parse(text)
    assert parse_blob("YW\nJj") == b"abc"
