"""Scalars: between their text on the wire and the values that Lambent works with.

Inside Lambent a timestamp is a number of seconds since the epoch, a blob is bytes, and numbers and
booleans are Python's; this module holds every other spelling. `Unparsable` is the room's private
exception for input that does not carry what the model says: `codec` makes the protocol's own error
of it, so nothing here knows one protocol from another.

Dates are parsed by hand because `email.utils` costs 28 ms to import.
Source: https://smithy.io/2.0/spec/protocol-traits.html#timestampformat-trait
"""

import math
import re
import time
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from calendar import timegm
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

Wire = Any
"""A modelled value: str, int, float, bool, bytes, a list, a dict by member name, or a document."""

DEPTH_MAX = 128
"""How deep any value may nest; DynamoDB's 32 levels of attribute values take 96."""

MEMBERS_MAX = 100_000
"""How many parameters a form or a query string may carry, and elements an XML body."""


class Unparsable(ValueError):  # noqa: N818 - it never leaves the room
    """The bytes do not carry what the model says; the text tells the caller."""


class Stream(Struct, frozen=True):
    """A streamed output blob: `chunks` and, where it is known, their total `length` in bytes."""

    chunks: AsyncIterator[bytes]
    length: int | None = None


_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_OF = {name: number for number, name in enumerate(_MONTHS, 1)}
_HTTP_DATE = re.compile(
    r"(?:[A-Za-z]{3,9},? )?(\d{1,2})[ -]([A-Z][a-z]{2})[ -](\d{4}) "
    r"(\d\d):(\d\d):(\d\d)(\.\d{1,9})? (?:GMT|UTC|\+0000)"
)
_INTEGER = re.compile(r"[+-]?[0-9]{1,64}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
SPECIAL_FLOATS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def parse_integer(text: str) -> int:
    """A whole number."""
    if _INTEGER.fullmatch(text) is None:
        raise Unparsable("STRING_VALUE can not be converted to an Integer")
    return int(text)


def parse_float(text: str) -> float:
    """A number, or `NaN`, `Infinity`, `-Infinity`."""
    if text in SPECIAL_FLOATS:
        return SPECIAL_FLOATS[text]
    if len(text) > 512 or _NUMBER.fullmatch(text) is None:
        raise Unparsable("STRING_VALUE can not be converted to a Double")
    return float(text)


def parse_boolean(text: str) -> bool:
    """`true` or `false`, in any case."""
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise Unparsable("STRING_VALUE can not be converted to a Boolean")
    return lowered == "true"


def parse_blob(text: str) -> bytes:
    """Base64, padded; white space between the letters is passed over."""
    try:
        return a2b_base64(text.encode("ascii"), strict_mode=True)
    except (Base64Error, UnicodeEncodeError):
        pass
    try:
        return a2b_base64("".join(text.split()).encode("ascii"), strict_mode=True)
    except (Base64Error, UnicodeEncodeError) as error:
        raise Unparsable("STRING_VALUE can not be converted to a Blob") from error


def parse_timestamp(text: str) -> float | int:
    """Seconds since the epoch from ISO 8601, an HTTP date, or a number."""
    text = text.strip()
    try:
        if _NUMBER.fullmatch(text):
            return finite_seconds(float(text))
        found = _HTTP_DATE.fullmatch(text)
        if found is not None:
            day, month, year, hour, minute, second, fraction = found.groups()
            whole = timegm(
                (int(year), _MONTH_OF[month], int(day), int(hour), int(minute), int(second))
            )
            return whole + float(fraction) if fraction else whole
        moment = datetime.fromisoformat(text)
        return _seconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, KeyError, OverflowError) as error:
        raise Unparsable("STRING_VALUE can not be converted to a Timestamp") from error


def _seconds(moment: datetime) -> float | int:
    whole = timegm(moment.utctimetuple())
    return whole + moment.microsecond / 1_000_000 if moment.microsecond else whole


def finite_seconds(number: float) -> float | int:
    """`number` as seconds, whole where it is whole; Unparsable beyond the years 1 to 9999."""
    if not -62_135_596_800 <= number < 253_402_300_800:
        raise Unparsable("NUMBER_VALUE can not be converted to a Timestamp")
    return int(number) if number == int(number) else float(number)


def format_float(number: float) -> str:
    """A number as text; the special values by their modelled names."""
    if math.isfinite(number):
        return repr(number)
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def format_boolean(value: object) -> str:
    """`true` or `false`."""
    return "true" if value else "false"


def format_blob(value: bytes | str) -> str:
    """Base64 of bytes (of a text's UTF-8)."""
    data = value.encode() if isinstance(value, str) else value
    return b2a_base64(data, newline=False).decode("ascii")


def format_iso8601(seconds: float) -> str:
    """`2014-04-29T18:30:38Z`, with milliseconds where there are any."""
    millis = round(seconds * 1000)
    whole, rest = divmod(millis, 1000)
    stamp = time.gmtime(whole)
    head = (
        f"{stamp.tm_year:04d}-{stamp.tm_mon:02d}-{stamp.tm_mday:02d}"
        f"T{stamp.tm_hour:02d}:{stamp.tm_min:02d}:{stamp.tm_sec:02d}"
    )
    return f"{head}.{rest:03d}Z" if rest else head + "Z"


def format_http_date(seconds: float) -> str:
    """`Tue, 29 Apr 2014 18:30:38 GMT`."""
    stamp = time.gmtime(math.floor(seconds))
    return (
        f"{_DAYS[stamp.tm_wday]}, {stamp.tm_mday:02d} {_MONTHS[stamp.tm_mon - 1]} "
        f"{stamp.tm_year:04d} {stamp.tm_hour:02d}:{stamp.tm_min:02d}:{stamp.tm_sec:02d} GMT"
    )


def unix_seconds(seconds: float) -> float | int:
    """Seconds for a JSON number: whole, or with milliseconds."""
    whole = int(seconds)
    return whole if whole == seconds else round(seconds, 3)


def format_unix(seconds: float) -> str:
    """Seconds since the epoch as text."""
    return str(unix_seconds(seconds))


_FORMATS: dict[str, Callable[[float], str]] = {
    "iso8601": format_iso8601,
    "rfc822": format_http_date,
    "unixtimestamp": format_unix,
}

_PARSERS: dict[str, Callable[[str], Wire]] = {
    "integer": parse_integer,
    "long": parse_integer,
    "float": parse_float,
    "double": parse_float,
    "boolean": parse_boolean,
    "blob": parse_blob,
    "timestamp": parse_timestamp,
}


def text_parser(shape_type: str) -> Callable[[str], Wire] | None:
    """How to read a scalar from text; None where the text is the value."""
    return _PARSERS.get(shape_type)


def text_formatter(shape_type: str, timestamp_format: str) -> Callable[[Wire], str]:
    """How to write a scalar as text."""
    if shape_type == "timestamp":
        return _FORMATS[timestamp_format.lower()]
    if shape_type == "boolean":
        return format_boolean
    if shape_type in ("float", "double"):
        return format_float
    return format_blob if shape_type == "blob" else str
