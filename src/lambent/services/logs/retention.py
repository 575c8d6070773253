"""Retention: events older than a group's policy are not read any more and leave the store daily.

Readers leave out what has expired at once; the sweep, a durable timer of each group that has a
policy, only gives the space back. The group's record names the sweep in force, so that one of an
earlier policy ends when it falls due.
Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
"""

from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.timers import Again
from lambent.kernel.traits import retried
from lambent.services.logs import batches
from lambent.services.logs.limits import RETENTION_DAYS, STREAMS_MAX, SWEEP_S
from lambent.services.logs.resources import GROUP, engine, kept_ms, now_ms, refused
from lambent.services.logs.streams import Stream, reload_oldest
from lambent.store.protocol import Put, Trim

VERBS = Verbs()
SWEEP = "sweep"
"""The timer's kind."""

_ENTRIES = 100


@VERBS.operation("PutRetentionPolicy")
@retried
async def put_retention_policy(ctx: Ctx, request: Wire) -> Wire:
    """Say for how many days events are kept. Errors: InvalidParameterException, as an enum."""
    days = request["retentionInDays"]
    if days not in RETENTION_DAYS:
        known = ", ".join(map(str, RETENTION_DAYS))
        raise refused(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy "
            f"constraint: Member must satisfy enum value set: [{known}]"
        )
    group = await GROUP.fetch(ctx, request)
    name, sweep = group.value["logGroupName"], ctx.platform.ids.uuid()
    record = group.value | {"retentionInDays": days, "sweep": sweep}
    payload = {"logGroupName": name, "sweep": sweep}
    timer = ctx.platform.timers.put(ctx, SWEEP, ctx.now() + SWEEP_S, payload, id=sweep)
    await ctx.commit(Put(group.key, record, expect=group.version), timer)
    ctx.platform.timers.armed(timer)
    return {}


async def sweep(ctx: Ctx, payload: Wire) -> Again | None:
    """Take what has expired in one group out of the store, and come again tomorrow."""
    group = await GROUP.find(ctx, payload)
    if group is None or group.value.get("sweep") != payload["sweep"]:
        return None
    kept = kept_ms(group.value)
    if kept is None:
        return None
    name = group.value["logGroupName"]
    for row in await ctx.store.scan(ctx.key("LogStream", name), limit=STREAMS_MAX):
        await _sweep_stream(ctx, await engine(ctx).open(ctx, name, row.key[-1]), now_ms(ctx) - kept)
    return Again(ctx.now() + SWEEP_S, payload)


async def _sweep_stream(ctx: Ctx, stream: Stream, before_ms: int) -> None:
    """Trim the batches at the head all of whose events are older than `before_ms`."""
    last = 0
    expired = True
    while expired:
        entries = await ctx.store.read_log(stream.log, after=last, limit=_ENTRIES)
        expired = bool(entries)
        for entry in entries:
            if max(time_ms for time_ms, _ in batches.decode(entry).lines) >= before_ms:
                expired = False
                break
            last = entry.seq
    if last:
        await ctx.commit(Trim(stream.log, last))
        await reload_oldest(ctx.platform, stream)
