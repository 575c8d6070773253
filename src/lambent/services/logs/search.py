"""FilterLogEvents: the events of many streams in one order, those that a pattern matches.

Streams are merged by the time of their next event and opened only when their turn comes, so that a
search near one end does not touch the others. A token is the last event that was looked at.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html
"""

import heapq
import zlib
from collections.abc import AsyncIterator

from msgspec import Struct, field

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.paging import BadTokenError, decode_token, encode_token
from lambent.services.logs.batches import size_bytes
from lambent.services.logs.cursors import bad_token
from lambent.services.logs.events import time_range
from lambent.services.logs.limits import (
    PAGE_BYTES_MAX,
    PAGE_EVENTS_MAX,
    SCAN_EVENTS_MAX,
    STREAMS_MAX,
)
from lambent.services.logs.patterns import compile_pattern
from lambent.services.logs.reading import Event, Reader
from lambent.services.logs.records import NO_STREAM, named
from lambent.services.logs.resources import GONE, GROUP, STREAM, engine, refused
from lambent.store.protocol import Key

VERBS = Verbs()
_EARLIEST = -(10**15)

Place = tuple[int, int, str, int, int]
"""Where an event stands in the order of a group: time, ingestion time, stream, batch, index."""


@VERBS.operation("FilterLogEvents")
async def filter_log_events(ctx: Ctx, request: Wire) -> Wire:
    """A page of what matches. It may be short, or empty, and yet have a token: go on.

    Errors: ResourceNotFoundException, InvalidParameterException.
    """
    request = named(request)
    matches = compile_pattern(request.get("filterPattern", "")).matches
    group = (await GROUP.fetch(ctx, request)).value
    search = await _search(ctx, group, request)
    limit = request.get("limit", PAGE_EVENTS_MAX)
    found: list[Wire] = []
    seen, total_bytes, last = 0, 0, search.after
    more = False
    async for place, event in search.events():
        message = event[4]
        hit = matches(message)
        total_bytes += size_bytes([(0, message)]) if hit else 0
        full = len(found) == limit or (found and total_bytes > PAGE_BYTES_MAX)
        if full or seen == SCAN_EVENTS_MAX:
            more = True
            break
        seen, last = seen + 1, place
        if hit:
            found.append(_shown(place, event))
    answer: Wire = {"events": found, "searchedLogStreams": []}
    if more and last is not None:
        answer["nextToken"] = _token(search.prefix, last, newest_first=search.newest_first)
    return answer


class Search(Struct):
    """The streams that one request searches, from `after` (or an end) on."""

    ctx: Ctx
    group: str
    prefix: Key
    names: list[str]
    since_ms: int
    until_ms: int
    newest_first: bool
    after: Place | None
    _sources: dict[str, AsyncIterator[Event]] = field(default_factory=dict)

    async def events(self) -> AsyncIterator[tuple[Place, Event]]:
        """The events with their places, merged, without those up to `after`."""
        sign = -1 if self.newest_first else 1
        rank = {name: number for number, name in enumerate(self.names)}
        # (time, ingestion time, rank, batch, index), times -1 to go backwards; a stream that is
        # not open yet waits at the earliest place that its next event can have.
        heap: list[tuple[tuple[int, ...], Event | None]] = []
        for name in self.names:
            if (first := await self._first_ms(name)) is not None:
                heap.append(((sign * first, _EARLIEST, sign * rank[name], 0, 0), None))
        heapq.heapify(heap)
        while heap:
            key, event = heapq.heappop(heap)
            name = self.names[sign * key[2]]
            if event is not None:
                place = (event[0], event[3], name, event[1], event[2])
                if self._wanted(place):
                    yield place, event
            following = await anext(self._source(name), None)
            if following is not None:
                time_ms, seq, index, ingested_ms, _ = following
                order = (time_ms, ingested_ms, rank[name], seq, index)
                heapq.heappush(heap, (tuple(sign * part for part in order), following))

    def _wanted(self, place: Place) -> bool:
        """Whether a place was not looked at yet, when the search goes on from a token."""
        if self.after is None:
            return True
        return place < self.after if self.newest_first else place > self.after

    async def _first_ms(self, name: str) -> int | None:
        """When the first event that is wanted of a stream may be, None if there is none."""
        stream = await engine(self.ctx).open(self.ctx, self.group, name)
        if stream.first_ms is None:
            return None
        low = max(self.since_ms, stream.first_ms if stream.totals.ordered else 0)
        high = min(self.until_ms - 1, stream.totals.most_ms)
        if self.after is not None:
            low, high = (
                (low, min(high, self.after[0]))
                if self.newest_first
                else (max(low, self.after[0]), high)
            )
        if low > high:
            return None
        return high if self.newest_first else low

    def _source(self, name: str) -> AsyncIterator[Event]:
        source = self._sources.get(name)
        if source is None:
            source = self._sources[name] = self._read(name)
        return source

    async def _read(self, name: str) -> AsyncIterator[Event]:
        stream = await engine(self.ctx).open(self.ctx, self.group, name)
        reader = Reader(self.ctx.store, stream, self.since_ms, self.until_ms)
        at_ms = self.after[0] if self.after else None
        if self.newest_first:
            end_ms = self.until_ms if at_ms is None else at_ms + 1
            events = reader.backward((end_ms, 0, 0))
        else:
            events = reader.forward((at_ms or 0, 0, 0))
        async for event in events:
            yield event


async def _search(ctx: Ctx, group: Wire, request: Wire) -> Search:
    name = group["logGroupName"]
    since_ms, until_ms = time_range(ctx, group, request)
    if "endTime" in request:
        until_ms += 1  # here, unlike in GetLogEvents, an event at the end time belongs to the range
    prefix = ctx.key("Search", name)
    newest_first = not request.get("startFromHead", True)
    after = None
    if token := request.get("nextToken"):
        newest_first, after = _place(prefix, token)
    return Search(
        ctx=ctx,
        group=name,
        prefix=prefix,
        names=await _names(ctx, name, request),
        since_ms=since_ms,
        until_ms=until_ms,
        newest_first=newest_first,
        after=after,
    )


async def _names(ctx: Ctx, group: str, request: Wire) -> list[str]:
    starts = request.get("logStreamNamePrefix")
    if (wanted := request.get("logStreamNames")) is not None:
        if starts is not None:
            raise refused(
                "logStreamNamePrefix and logStreamNames are mutually exclusive parameters."
            )
        for stream in wanted:
            if await STREAM.find(ctx, {"logGroupName": group, "logStreamName": stream}) is None:
                raise AwsError(GONE, NO_STREAM)
        return sorted(set(wanted))
    rows = await ctx.store.scan(ctx.key("LogStream", group), starts=starts or "", limit=STREAMS_MAX)
    return sorted(row.key[-1] for row in rows)


def _shown(place: Place, event: Event) -> Wire:
    time_ms, ingested_ms, stream, seq, index = place
    return {
        "logStreamName": stream,
        "timestamp": time_ms,
        "message": event[4],
        "ingestionTime": ingested_ms,
        "eventId": f"{time_ms:014d}{zlib.crc32(stream.encode()):010d}{seq:020d}{index:012d}",
    }


def _token(prefix: Key, place: Place, *, newest_first: bool) -> str:
    return encode_token(prefix, "\0".join(map(str, (int(newest_first), *place))))


def _place(prefix: Key, token: str) -> tuple[bool, Place]:
    try:
        newest_first, time_ms, ingested_ms, stream, seq, index = decode_token(prefix, token).split(
            "\0"
        )
        place = (int(time_ms), int(ingested_ms), stream, int(seq), int(index))
        return newest_first == "1", place
    except (BadTokenError, ValueError):
        raise bad_token() from None
