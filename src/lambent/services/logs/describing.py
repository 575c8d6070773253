"""The lists of groups and streams.

Streams by the time of their last event, and groups by a pattern, are looked at one by one: O(n) of
the streams or groups there are.
"""

from collections.abc import Callable

from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.paging import BadTokenError, decode_token, encode_token
from lambent.kernel.traits import Paging, listed
from lambent.services.logs.cursors import bad_token
from lambent.services.logs.limits import DESCRIBE_MAX, STREAMS_MAX
from lambent.services.logs.records import group_name, named
from lambent.services.logs.resources import GROUP, engine, refused

VERBS = Verbs()
PAGING = Paging(input="nextToken", output="nextToken", limit="limit")


@VERBS.operation("DescribeLogGroups")
async def describe_log_groups(ctx: Ctx, request: Wire) -> Wire:
    """Groups by name: those with a prefix, with a text in it, of a class, or those named.

    Errors: InvalidParameterException. Source:
    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogGroups.html
    """
    _own_account(ctx, request)
    prefix, pattern = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
    names = {group_name(one) for one in request.get("logGroupIdentifiers", ())}
    if sum(map(bool, (prefix, pattern, names))) > 1:
        raise refused(
            "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters."
        )
    await engine(ctx).settle()
    rows, token = await listed(
        ctx,
        ctx.key("LogGroup"),
        request,
        PAGING,
        most=DESCRIBE_MAX,
        starts=prefix or "",
        keep=_keeper(request, names) if pattern or names or "logGroupClass" in request else None,
    )
    groups = [row.value for row in rows]
    if not pattern:
        # A search by pattern answers without sizes.
        groups = [group | {"storedBytes": await _stored_bytes(ctx, group)} for group in groups]
    return PAGING.answer("logGroups", groups, token)


@VERBS.operation("ListLogGroups")
async def list_log_groups(ctx: Ctx, request: Wire) -> Wire:
    """Names, ARNs and classes of groups. Errors: InvalidParameterException."""
    _own_account(ctx, request)
    for name in ("dataSources", "fieldIndexNames", "logGroupTags"):
        if name in request:
            raise refused(f"{name} is not supported by Lambent yet.")
    texts = request.get("logGroupNamePattern", "").split("|")
    kind = request.get("logGroupClass")

    def keep(group: Wire) -> bool:
        name = group["logGroupName"]
        found = any(name.startswith(t[1:]) if t.startswith("^") else t in name for t in texts)
        return found and kind in (None, group["logGroupClass"])

    await engine(ctx).settle()
    rows, token = await listed(
        ctx, ctx.key("LogGroup"), request, PAGING, most=1000, usual=DESCRIBE_MAX, keep=keep
    )
    return PAGING.answer("logGroups", [row.value for row in rows], token)


def _own_account(ctx: Ctx, request: Wire) -> None:
    """There are no linked accounts. Errors: InvalidParameterException."""
    if any(account != ctx.account for account in request.get("accountIdentifiers", ())):
        raise refused("accountIdentifiers may only name the account itself.")


def _keeper(request: Wire, names: set[str]) -> Callable[[Wire], bool]:
    pattern, kind = request.get("logGroupNamePattern", ""), request.get("logGroupClass")

    def keep(group: Wire) -> bool:
        name = group["logGroupName"]
        wanted = name in names if names else pattern in name
        return wanted and kind in (None, group["logGroupClass"])

    return keep


async def _stored_bytes(ctx: Ctx, group: Wire) -> int:
    name = group["logGroupName"]
    rows = await ctx.store.scan(ctx.key("LogStream", name), limit=STREAMS_MAX)
    streams = [await engine(ctx).open(ctx, name, row.key[-1]) for row in rows]
    return sum(stream.stored_bytes for stream in streams)


@VERBS.operation("DescribeLogStreams")
async def describe_log_streams(ctx: Ctx, request: Wire) -> Wire:
    """Streams of a group, by name or by the time of their last event.

    Errors: ResourceNotFoundException, InvalidParameterException. Source:
    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_DescribeLogStreams.html
    """
    request = named(request)
    group = (await GROUP.fetch(ctx, request)).value["logGroupName"]
    by_time = request.get("orderBy") == "LastEventTime"
    starts = request.get("logStreamNamePrefix", "")
    if by_time and starts:
        raise refused("Cannot order by LastEventTime with a logStreamNamePrefix.")
    prefix = ctx.key("LogStream", group)
    if not by_time and not request.get("descending"):
        rows, token = await listed(ctx, prefix, request, PAGING, most=DESCRIBE_MAX, starts=starts)
        shown = [await _described(ctx, group, row.value) for row in rows]
        return PAGING.answer("logStreams", shown, token)
    rows = await ctx.store.scan(prefix, starts=starts, limit=STREAMS_MAX)
    streams = [await _described(ctx, group, row.value) for row in rows]
    keyed = [(_order(stream, by_time=by_time), stream) for stream in streams]
    keyed.sort(key=lambda one: one[0], reverse=request.get("descending", False))
    if token := request.get("nextToken"):
        last = _last(prefix, token)
        backwards = request.get("descending", False)
        keyed = [one for one in keyed if (one[0] < last if backwards else one[0] > last)]
    page = keyed[: request.get("limit", DESCRIBE_MAX)]
    token = None
    if len(page) < len(keyed):
        last_ms, name = page[-1][0]
        token = encode_token(prefix, f"{last_ms}\0{name}")
    return PAGING.answer("logStreams", [stream for _, stream in page], token)


def _order(stream: Wire, *, by_time: bool) -> tuple[int, str]:
    return (stream.get("lastEventTimestamp", 0) if by_time else 0, stream["logStreamName"])


def _last(prefix: tuple[str, ...], token: str) -> tuple[int, str]:
    try:
        last_ms, name = decode_token(prefix, token).split("\0")
        return int(last_ms), name
    except (BadTokenError, ValueError):
        raise bad_token() from None


async def _described(ctx: Ctx, group: str, record: Wire) -> Wire:
    stream = await engine(ctx).open(ctx, group, record["logStreamName"])
    return record | stream.describe()
