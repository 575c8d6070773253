"""Log groups and streams, declared, and their tags.

Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_Operations.html
"""

from lambent.base.arn import Arn
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.kernel.traits import Missing, Resource, Tagging
from lambent.services.logs.limits import DAY_MS, STREAMS_MAX
from lambent.services.logs.records import (
    NO_GROUP,
    NO_STREAM,
    group_arn,
    group_name,
    group_record,
    named,
    stream_record,
)
from lambent.services.logs.streams import Stream, Streams
from lambent.store.protocol import Change, Delete, Record, Trim

GONE = "ResourceNotFoundException"
TAKEN = "ResourceAlreadyExistsException"


def engine(ctx: Ctx) -> Streams:
    """The streams in use."""
    running: Streams = ctx.engine
    return running


def now_ms(ctx: Ctx) -> int:
    """Platform time in milliseconds."""
    return int(ctx.now() * 1000)


def kept_ms(group: Wire) -> int | None:
    """How long events of a group are kept; None: for good."""
    days = group.get("retentionInDays")
    return None if days is None else days * DAY_MS


def refused(text: str) -> AwsError:
    """A parameter that is wrong."""
    return AwsError("InvalidParameterException", text)


# --- tags ----------------------------------------------------------------------------------------


async def _tagged_arn(ctx: Ctx, request: Wire) -> str:
    text = request["resourceArn"]
    try:
        arn = Arn.parse(text)
        name = group_name(text)
    except (ValueError, AwsError):
        raise refused(f"{text} is not a valid ARN of a log group.") from None
    here = (arn.account, arn.region) == (ctx.account, ctx.region)
    if not here or await GROUP.find(ctx, {"logGroupName": name}) is None:
        raise AwsError(GONE, "The specified resource does not exist.")
    return group_arn(ctx.account, ctx.region, name)


async def _tagged_name(ctx: Ctx, request: Wire) -> str:
    arn: str = (await GROUP.fetch(ctx, request)).value["logGroupArn"]
    return arn


TAGS = Tagging(
    resolve=_tagged_arn,
    tag="TagResource",
    untag="UntagResource",
    read="ListTagsForResource",
    tags="tags",
    keys="tagKeys",
)
LEGACY_TAGS = Tagging(
    resolve=_tagged_name,
    tag="TagLogGroup",
    untag="UntagLogGroup",
    read="ListTagsLogGroup",
    tags="tags",
    keys="tags",
)

# --- groups --------------------------------------------------------------------------------------


def _new_group(ctx: Ctx, request: Wire) -> Wire:
    if "kmsKeyId" in request:
        raise refused("kmsKeyId is not supported by Lambent yet.")
    kind = request.get("logGroupClass", "STANDARD")
    if kind not in ("STANDARD", "INFREQUENT_ACCESS"):
        raise refused(f"logGroupClass {kind} is not supported by Lambent yet.")
    record = group_record(ctx.account, ctx.region, request["logGroupName"], now_ms(ctx))
    return record | {"logGroupClass": kind}


def _unretained(_ctx: Ctx, record: Wire, _request: Wire) -> Wire:
    return {name: value for name, value in record.items() if name != "retentionInDays"}


def _protected(_ctx: Ctx, record: Wire, request: Wire) -> Wire:
    return record | {"deletionProtectionEnabled": request["deletionProtectionEnabled"]}


async def _without_group(ctx: Ctx, _request: Wire, record: Wire) -> tuple[Change, ...]:
    """All streams with all events. O(streams)."""
    if record.get("deletionProtectionEnabled"):
        raise AwsError(
            "ValidationException",
            f"Log group {record['logGroupName']} has deletion protection enabled.",
        )
    name = record["logGroupName"]
    streams = await ctx.store.scan(ctx.key("LogStream", name), limit=STREAMS_MAX)
    logs = await ctx.store.logs(ctx.key("Events", name), limit=STREAMS_MAX)
    engine(ctx).forget(lambda where: where[:3] == (ctx.account, ctx.region, name))
    return (*(Delete(row.key) for row in streams), *(Trim(log, None) for log in logs))


class _Groups(Resource, frozen=True, kw_only=True):
    """Groups, those included that the journal has just made."""

    async def find(self, ctx: Ctx, request: Wire) -> Record | None:
        """The group that a request names; whatever was logged before is readable after it."""
        await engine(ctx).settle()
        return await ctx.store.get(self.key(ctx, request))


GROUP = _Groups(
    noun="LogGroup",
    id="logGroupName",
    named=named,
    missing=Missing(GONE, NO_GROUP),
    exists=Missing(TAKEN, "The specified log group already exists"),
    create="CreateLogGroup",
    delete="DeleteLogGroup",
    updates={
        "DeleteRetentionPolicy": _unretained,
        "PutLogGroupDeletionProtection": _protected,
    },
    computed=_new_group,
    removed=_without_group,
    tagging=TAGS,
    arn="logGroupArn",
)

# --- streams -------------------------------------------------------------------------------------


def _new_stream(ctx: Ctx, request: Wire) -> Wire:
    return stream_record(
        ctx.account, ctx.region, request["logGroupName"], request["logStreamName"], now_ms(ctx)
    )


def _events(ctx: Ctx, record: Wire) -> tuple[Change, ...]:
    group, stream = record["logGroupName"], record["logStreamName"]
    where = (ctx.account, ctx.region, group, stream)
    engine(ctx).forget(where.__eq__)
    return (Trim(ctx.key("Events", group, stream), None),)


async def _empty(ctx: Ctx, _request: Wire, record: Wire) -> tuple[Change, ...]:
    """A stream starts empty, even if the last one of its name was written to while it went."""
    return () if await STREAM.find(ctx, record) else _events(ctx, record)


async def _without_stream(ctx: Ctx, _request: Wire, record: Wire) -> tuple[Change, ...]:
    return _events(ctx, record)


STREAM = Resource(
    noun="LogStream",
    id="logStreamName",
    parents=("logGroupName",),
    parent=GROUP.fetch,
    named=named,
    missing=Missing(GONE, NO_STREAM),
    exists=Missing(TAKEN, "The specified log stream already exists"),
    create="CreateLogStream",
    delete="DeleteLogStream",
    computed=_new_stream,
    extra=_empty,
    removed=_without_stream,
)


async def opened(ctx: Ctx, request: Wire) -> tuple[Wire, Stream]:
    """The group that a request names, and its stream in use. Errors: ResourceNotFoundException."""
    group = (await GROUP.fetch(ctx, request)).value
    record = (await STREAM.fetch(ctx, request)).value
    return group, await engine(ctx).open(ctx, record["logGroupName"], record["logStreamName"])
