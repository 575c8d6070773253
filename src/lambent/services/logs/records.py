"""What groups and streams look like in the store, and how requests name them.

Keys: (account, region, logs, "LogGroup", group), "LogStream" with the stream behind it, and the log
"Events" likewise.
"""

from lambent.base.arn import Arn, partition_of
from lambent.base.errors import AwsError
from lambent.kernel import Wire
from lambent.store.protocol import Key, Value

Where = tuple[str, str, str, str]
"""Account, region, group, stream."""

NO_GROUP = "The specified log group does not exist."
NO_STREAM = "The specified log stream does not exist."
SERVICE = "logs"


def group_arn(account: str, region: str, group: str) -> str:
    """A group's ARN, without the `:*` that means its streams."""
    return str(Arn(partition_of(region), SERVICE, region, account, f"log-group:{group}"))


def group_record(account: str, region: str, group: str, now_ms: int) -> Wire:
    """The members that AWS adds to a new group."""
    arn = group_arn(account, region, group)
    return {
        "logGroupName": group,
        "creationTime": now_ms,
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupClass": "STANDARD",
        "metricFilterCount": 0,
    }


def stream_record(account: str, region: str, group: str, stream: str, now_ms: int) -> Wire:
    """The members of a new stream. `storedBytes` is 0 for good, as AWS has it since 2019."""
    return {
        "logGroupName": group,
        "logStreamName": stream,
        "creationTime": now_ms,
        "arn": f"{group_arn(account, region, group)}:log-stream:{stream}",
        "storedBytes": 0,
    }


def new_group(where: Where, now_ms: int) -> tuple[Key, Value]:
    """Key and record of a group that the journal makes."""
    account, region, group, _ = where
    return (account, region, SERVICE, "LogGroup", group), group_record(*where[:3], now_ms)


def new_stream(where: Where, now_ms: int) -> tuple[Key, Value]:
    """Key and record of a stream that the journal makes."""
    account, region, group, stream = where
    return (account, region, SERVICE, "LogStream", group, stream), stream_record(*where, now_ms)


def events_log(where: Where) -> Key:
    """The log with a stream's events."""
    account, region, group, stream = where
    return (account, region, SERVICE, "Events", group, stream)


def group_name(identifier: str) -> str:
    """The group that an identifier names: a name, or an ARN without `:*`, as the model has it.

    Errors: InvalidParameterException for an ARN that is not a group's.
    """
    if not identifier.startswith("arn:"):
        return identifier
    try:
        kind, _, name = Arn.parse(identifier).resource.partition(":")
    except ValueError:
        kind = name = ""
    if kind != "log-group" or not name:
        raise AwsError("InvalidParameterException", f"Invalid log group ARN: {identifier}")
    return name


def named(request: Wire) -> Wire:
    """A request with its group as `logGroupName` only. Errors: InvalidParameterException."""
    name, identifier = request.get("logGroupName"), request.get("logGroupIdentifier")
    if name is not None and identifier is not None:
        raise AwsError(
            "InvalidParameterException",
            "Only one of logGroupName or logGroupIdentifier can be specified.",
        )
    if name is None and identifier is None:
        raise AwsError(
            "InvalidParameterException",
            "One of logGroupName or logGroupIdentifier must be specified.",
        )
    if identifier is None:
        return request
    others = {member: value for member, value in request.items() if member != "logGroupIdentifier"}
    return others | {"logGroupName": group_name(identifier)}
