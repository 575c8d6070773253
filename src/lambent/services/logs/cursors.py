"""Where a reader stands: places between events, and the tokens that name them.

Pure. Events of a stream are ordered by (timestamp, number of their batch, index in it). A cursor is
such a triple and stands just before the event that has it, so it stays right while events come and
expire. A `f/` token reads on from there towards newer events, a `b/` token towards older ones; an
answer without events has the cursor that it was asked with, which is how a reader knows that it has
reached the end.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
"""

import zlib

from lambent.base.errors import AwsError

Cursor = tuple[int, int, int]
START: Cursor = (0, 0, 0)
END: Cursor = (10**14, 0, 0)
"""After every event there can be."""

_TIME_DIGITS, _SEQ_DIGITS, _INDEX_DIGITS, _CHECK_DIGITS = 15, 19, 12, 10


def digits(stream: str, cursor: Cursor) -> str:
    """A cursor as 56 digits that only this stream accepts."""
    time_ms, seq, index = cursor
    body = f"{time_ms:0{_TIME_DIGITS}d}{seq:0{_SEQ_DIGITS}d}{index:0{_INDEX_DIGITS}d}"
    check = zlib.crc32(f"{stream}\0{body}".encode())
    return f"{body}{check:0{_CHECK_DIGITS}d}"


def forward_token(stream: str, cursor: Cursor) -> str:
    """The token that reads on towards newer events."""
    return f"f/{digits(stream, cursor)}/s"


def backward_token(stream: str, cursor: Cursor) -> str:
    """The token that reads on towards older events."""
    return f"b/{digits(stream, cursor)}/s"


def parse(stream: str, token: str) -> tuple[bool, Cursor]:
    """Whether a token goes forward, and its cursor. Errors: InvalidParameterException."""
    direction, _, rest = token.partition("/")
    number = rest.removesuffix("/s")
    if direction in ("f", "b") and len(number) == 56 and number.isascii() and number.isdigit():
        at_seq, at_index = _TIME_DIGITS, _TIME_DIGITS + _SEQ_DIGITS
        cursor = (
            int(number[:at_seq]),
            int(number[at_seq:at_index]),
            int(number[at_index : at_index + _INDEX_DIGITS]),
        )
        if digits(stream, cursor) == number:
            return direction == "f", cursor
    raise bad_token()


def bad_token() -> AwsError:
    """The refusal of a token that was not issued for this list."""
    return AwsError("InvalidParameterException", "The specified nextToken is invalid.")
