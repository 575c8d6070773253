"""A batch of events as one entry of a stream's log, and what AWS accepts in one PutLogEvents.

Pure. One entry is a batch, so that ingestion costs one row whatever it brings; it also carries the
totals of its stream up to and including itself, so that a stream's state is its last entry and
nothing else needs to be written.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import msgspec

from lambent.base.errors import AwsError
from lambent.kernel import Wire
from lambent.services.logs.limits import (
    BATCH_BYTES_MAX,
    BATCH_SPAN_MS_MAX,
    EVENT_AGE_MS_MAX,
    EVENT_AHEAD_MS_MAX,
    EVENT_OVERHEAD_BYTES,
)
from lambent.store.protocol import Entry

Line = tuple[int, str]
"""Milliseconds since the epoch, and the message."""

_encode = msgspec.msgpack.Encoder().encode


class Totals(NamedTuple):
    """A stream up to some batch. `ordered`: no event is older than one that came before it."""

    most_ms: int = 0
    stored_bytes: int = 0
    ordered: bool = True
    ingested_ms: int = 0


class Batch(msgspec.Struct, array_like=True, frozen=True):
    """One entry: the stream's totals with it, when it came, and its events in their order."""

    most_ms: int
    stored_bytes: int
    ordered: bool
    ingested_ms: int
    lines: list[Line]

    @property
    def totals(self) -> Totals:
        """The stream's totals, this batch included."""
        return Totals(self.most_ms, self.stored_bytes, self.ordered, self.ingested_ms)


_decode = msgspec.msgpack.Decoder(Batch).decode


def decode(entry: Entry) -> Batch:
    """The batch in an entry."""
    return _decode(entry.value)


def size_bytes(lines: Sequence[Line]) -> int:
    """What events count towards quotas and stored bytes."""
    total = EVENT_OVERHEAD_BYTES * len(lines)
    for _, message in lines:
        total += len(message) if message.isascii() else len(message.encode("utf-8", "replace"))
    return total


def append(totals: Totals, lines: Sequence[Line], now_ms: int) -> tuple[Totals, bytes]:
    """The totals after a batch has come, and the entry that holds it."""
    most_ms, ordered = totals.most_ms, totals.ordered
    for time_ms, _ in lines:
        if time_ms >= most_ms:
            most_ms = time_ms
        else:
            ordered = False
    after = Totals(most_ms, totals.stored_bytes + size_bytes(lines), ordered, now_ms)
    return after, _encode((*after, lines))


def accept(events: Sequence[Wire], now_ms: int, kept_ms: int | None) -> tuple[list[Line], Wire]:
    """The lines of a batch that are kept, and `rejectedLogEventsInfo`, empty if all are.

    `kept_ms` is the group's retention. Errors: InvalidParameterException. Source:
    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
    """
    lines: list[Line] = [(event["timestamp"], event["message"]) for event in events]
    size = size_bytes(lines)
    if size > BATCH_BYTES_MAX:
        raise _refused(f"Upload too large: {size} bytes exceeds limit of {BATCH_BYTES_MAX}")
    times = [time_ms for time_ms, _ in lines]
    if any(later < earlier for earlier, later in pairwise(times)):
        raise _refused(
            "Log events in a single PutLogEvents request must be in chronological order."
        )
    if times[-1] - times[0] > BATCH_SPAN_MS_MAX:
        raise _refused(
            "The batch of log events in a single PutLogEvents request cannot span more than 24 "
            "hours."
        )
    # The events are in order, so each kind of rejection is a prefix or the rest.
    too_old = sum(time_ms < now_ms - EVENT_AGE_MS_MAX for time_ms in times)
    expired = 0 if kept_ms is None else sum(time_ms < now_ms - kept_ms for time_ms in times)
    too_new = sum(time_ms <= now_ms + EVENT_AHEAD_MS_MAX for time_ms in times)
    rejected: dict[str, Any] = {}
    if too_old:
        rejected["tooOldLogEventEndIndex"] = too_old
    if expired:
        rejected["expiredLogEventEndIndex"] = expired
    if too_new < len(lines):
        rejected["tooNewLogEventStartIndex"] = too_new
    return lines[max(too_old, expired) : too_new], rejected


def _refused(text: str) -> AwsError:
    return AwsError("InvalidParameterException", text)
