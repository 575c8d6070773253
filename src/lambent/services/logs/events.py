"""Putting events into a stream and getting them back.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
"""

from lambent.kernel import Ctx, Verbs, Wire
from lambent.services.logs import batches
from lambent.services.logs.cursors import END, START, Cursor, backward_token, forward_token, parse
from lambent.services.logs.limits import PAGE_EVENTS_MAX
from lambent.services.logs.reading import Event, Reader, take
from lambent.services.logs.resources import kept_ms, now_ms, opened, refused
from lambent.services.logs.streams import sequence_token

VERBS = Verbs()


@VERBS.operation("PutLogEvents")
async def put_log_events(ctx: Ctx, request: Wire) -> Wire:
    """Append a batch. Sequence tokens are ignored, as AWS ignores them; an entity is rejected.

    Errors: ResourceNotFoundException, InvalidParameterException.
    """
    group, stream = await opened(ctx, request)
    time_ms = now_ms(ctx)
    lines, rejected = batches.accept(request["logEvents"], time_ms, kept_ms(group))
    if lines:
        await ctx.commit(stream.append(lines, time_ms))
    answer: Wire = {"nextSequenceToken": sequence_token(stream.totals)}
    if rejected:
        answer["rejectedLogEventsInfo"] = rejected
    if "entity" in request:
        answer["rejectedEntityInfo"] = {"errorType": "UnsupportedLogGroupType"}
    return answer


@VERBS.operation("GetLogEvents")
async def get_log_events(ctx: Ctx, request: Wire) -> Wire:
    """A page of one stream: from its newest event back, unless `startFromHead`.

    Errors: ResourceNotFoundException, InvalidParameterException for a token of another stream.
    Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
    """
    group, stream = await opened(ctx, request)
    name = "\0".join(stream.log)
    since_ms, until_ms = time_range(ctx, group, request)
    reader = Reader(ctx.store, stream, since_ms, until_ms)
    limit = request.get("limit", PAGE_EVENTS_MAX)
    if token := request.get("nextToken"):
        forward, cursor = parse(name, token)
    else:
        forward = request.get("startFromHead", False)
        cursor = START if forward else END
    if forward:
        events = await take(reader.forward(cursor), limit)
    else:
        events = (await take(reader.backward(cursor), limit))[::-1]
    before, after = _around(events, START if cursor == END else cursor)
    return {
        "events": [_shown(event) for event in events],
        "nextForwardToken": forward_token(name, after),
        "nextBackwardToken": backward_token(name, before),
    }


def _around(events: list[Event], asked: Cursor) -> tuple[Cursor, Cursor]:
    """The cursors before and after a page; both are `asked` where nothing was found."""
    if not events:
        return asked, asked
    time_ms, seq, index, _, _ = events[-1]
    return events[0][:3], (time_ms, seq, index + 1)


def _shown(event: Event) -> Wire:
    return {"timestamp": event[0], "message": event[4], "ingestionTime": event[3]}


def time_range(ctx: Ctx, group: Wire, request: Wire) -> tuple[int, int]:
    """From and up to when (not including) a request reads; what has expired is out of it.

    Errors: InvalidParameterException.
    """
    since_ms: int = request.get("startTime", 0)
    until_ms: int = request.get("endTime", END[0])
    if since_ms > until_ms:
        raise refused("startTime must be less than or equal to endTime")
    kept = kept_ms(group)
    return (since_ms if kept is None else max(since_ms, now_ms(ctx) - kept)), until_ms
