"""Reading one stream in the order of time, from any cursor, in both directions.

Batches come in the order of time in nearly every stream, and then the log's order is the order of
time: a reader finds its place by halving and reads on from there. A stream into which an older
event came after a newer one is read whole and sorted. O(log n + read), else O(n log n).
"""

from collections.abc import AsyncIterator
from itertools import pairwise

from msgspec import Struct

from lambent.services.logs import batches
from lambent.services.logs.cursors import Cursor
from lambent.services.logs.limits import PAGE_BYTES_MAX
from lambent.services.logs.streams import Stream
from lambent.store.protocol import Entry, Store

Event = tuple[int, int, int, int, str]
"""Timestamp, number of the batch, index in it, ingestion time, message."""

_ENTRIES = 32
"""Entries read at once; one is at most a megabyte."""


class Reader(Struct, frozen=True):
    """The events of `stream` from `since_ms` up to, not including, `until_ms`."""

    store: Store
    stream: Stream
    since_ms: int
    until_ms: int

    async def forward(self, cursor: Cursor) -> AsyncIterator[Event]:
        """Events at and after `cursor`, oldest first."""
        start = max(cursor, (self.since_ms, 0, 0))
        if not self.stream.totals.ordered:
            for event in await self._all():
                if start <= event[:3] and event[0] < self.until_ms:
                    yield event
            return
        seq = await self._first_at(start[0])
        while entries := await self.store.read_log(self.stream.log, after=seq - 1, limit=_ENTRIES):
            for entry in entries:
                for event in _events(entry):
                    if event[0] >= self.until_ms:
                        return
                    if event[:3] >= start:
                        yield event
            seq = entries[-1].seq + 1

    async def backward(self, cursor: Cursor) -> AsyncIterator[Event]:
        """Events before `cursor`, newest first."""
        end = min(cursor, (self.until_ms, 0, 0))
        if not self.stream.totals.ordered:
            for event in reversed(await self._all()):
                if event[:3] < end and event[0] >= self.since_ms:
                    yield event
            return
        below = await self._first_at(end[0] + 1) + 1
        while entries := await self.store.read_log(
            self.stream.log, after=below, limit=_ENTRIES, reverse=True
        ):
            for entry in entries:
                for event in reversed(_events(entry)):
                    if event[0] < self.since_ms:
                        return
                    if event[:3] < end:
                        yield event
            below = entries[-1].seq

    async def _all(self) -> list[Event]:
        events: list[Event] = []
        seq = 0
        while entries := await self.store.read_log(self.stream.log, after=seq, limit=_ENTRIES):
            for entry in entries:
                events.extend(_events(entry))
            seq = entries[-1].seq
        events.sort(key=lambda event: event[:3])
        return events

    async def _first_at(self, time_ms: int) -> int:
        """The number of the first batch with an event at `time_ms` or later; else past the last."""
        log = self.stream.log
        newest = await self.store.read_log(log, limit=1, reverse=True)
        oldest = await self.store.read_log(log, limit=1)
        if not newest or not oldest:
            return 1
        low, high = oldest[0].seq, newest[0].seq + 1
        while low < high:
            middle = (low + high) // 2
            entry = (await self.store.read_log(log, after=middle - 1, limit=1))[0]
            if batches.decode(entry).lines[-1][0] >= time_ms:
                high = middle
            else:
                low = entry.seq + 1
        return low


def _events(entry: Entry) -> list[Event]:
    batch = batches.decode(entry)
    events = [
        (time_ms, entry.seq, index, batch.ingested_ms, message)
        for index, (time_ms, message) in enumerate(batch.lines)
    ]
    if not batch.ordered and any(later < earlier for earlier, later in pairwise(events)):
        events.sort(key=lambda event: event[:3])
    return events


async def take(events: AsyncIterator[Event], limit: int) -> list[Event]:
    """Up to `limit` events and a megabyte of messages, but at least one."""
    taken: list[Event] = []
    size_bytes = 0
    async for event in events:
        size_bytes += batches.size_bytes([(event[0], event[4])])
        if taken and size_bytes > PAGE_BYTES_MAX:
            break
        taken.append(event)
        if len(taken) == limit:
            break
    return taken
