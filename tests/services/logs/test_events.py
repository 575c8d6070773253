"""Putting events and getting them back by boto3: limits, order, tokens, searching, the journal."""

import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers import ACCOUNT, ThreadServer

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def logs(server: ThreadServer) -> Any:
    return server.client("logs", parameter_validation=False)


@pytest.fixture
def now_ms(server: ThreadServer) -> int:
    return int(server.clock.now() * 1000)


names = (f"group-{number}" for number in itertools.count())


def made(logs: Any, *streams: str, **more: Any) -> dict[str, str]:
    group = {"logGroupName": next(names)}
    logs.create_log_group(**group, **more)
    for stream in streams:
        logs.create_log_stream(**group, logStreamName=stream)
    return group


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def put(logs: Any, group: dict[str, str], stream: str, *times: int, text: str = "") -> Any:
    events = [{"timestamp": at, "message": text or f"{stream}@{at}"} for at in times]
    return logs.put_log_events(**group, logStreamName=stream, logEvents=events)


def texts(answer: Any) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_batches_that_are_refused(logs: Any, now_ms: int) -> None:
    group = made(logs, "s")
    request = group | {"logStreamName": "s"}
    code, text = refused(
        logs.put_log_events,
        **request,
        logEvents=[{"timestamp": now_ms, "message": "x" * (1_048_576 - 25)}],
    )
    assert (code, text) == (
        "InvalidParameterException",
        "Upload too large: 1048577 bytes exceeds limit of 1048576",
    )
    backwards = [{"timestamp": now_ms - at, "message": "m"} for at in range(2)]
    code, text = refused(logs.put_log_events, **request, logEvents=backwards)
    assert "must be in chronological order" in text
    wide = [{"timestamp": now_ms - at, "message": "m"} for at in (DAY_MS + 1, 0)]
    assert (
        "cannot span more than 24 hours"
        in refused(logs.put_log_events, **request, logEvents=wide)[1]
    )
    many = [{"timestamp": now_ms, "message": "m"}] * 10_001
    assert (
        "less than or equal to 10000" in refused(logs.put_log_events, **request, logEvents=many)[1]
    )
    assert refused(logs.put_log_events, **request, logEvents=[])[0] == "InvalidParameterException"
    assert logs.get_log_events(**request)["events"] == []
    exact = [{"timestamp": now_ms, "message": "x" * (1_048_576 - 26)}]
    assert "rejectedLogEventsInfo" not in logs.put_log_events(**request, logEvents=exact)


def test_events_that_are_rejected(logs: Any, now_ms: int) -> None:
    group = made(logs, "s")
    answer = put(logs, group, "s", now_ms - 15 * DAY_MS, now_ms - 15 * DAY_MS + 1)
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 2}
    answer = put(logs, group, "s", now_ms, now_ms + HOUR_MS, now_ms + 3 * HOUR_MS)
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 2}
    logs.put_retention_policy(**group, retentionInDays=1)
    answer = put(logs, group, "s", now_ms - DAY_MS - HOUR_MS, now_ms - HOUR_MS)
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    entity = {"keyAttributes": {"Type": "Service", "Name": "n"}}
    event = {"timestamp": now_ms, "message": "m"}
    answer = logs.put_log_events(**group, logStreamName="s", logEvents=[event], entity=entity)
    assert answer["rejectedEntityInfo"] == {"errorType": "UnsupportedLogGroupType"}


def test_what_is_not_there(logs: Any, now_ms: int) -> None:
    no_group = ("ResourceNotFoundException", "The specified log group does not exist.")
    no_stream = ("ResourceNotFoundException", "The specified log stream does not exist.")
    gone, group = {"logGroupName": "no-such-group"}, made(logs)
    event = {"timestamp": now_ms, "message": "m"}
    request = {"logStreamName": "s", "logEvents": [event]}
    assert refused(logs.put_log_events, **gone, **request) == no_group
    assert refused(logs.put_log_events, **group, **request) == no_stream
    assert refused(logs.get_log_events, **group, logStreamName="s") == no_stream
    assert refused(logs.filter_log_events, **gone) == no_group
    assert refused(logs.filter_log_events, **group, logStreamNames=["s"]) == no_stream
    assert refused(logs.create_log_stream, **gone, logStreamName="s") == no_group
    assert refused(logs.describe_log_streams, **gone) == no_group
    assert refused(logs.delete_log_group, **gone) == no_group
    assert refused(logs.delete_log_stream, **group, logStreamName="s") == no_stream
    assert refused(logs.put_retention_policy, **gone, retentionInDays=1) == no_group
    assert refused(logs.start_query, **gone, queryString="x", startTime=0, endTime=1)[0] == (
        "NotImplemented"
    )


def test_reading_back_and_forth(logs: Any, now_ms: int) -> None:
    group = made(logs, "s")
    request = group | {"logStreamName": "s", "limit": 4}
    for at in range(10):
        put(logs, group, "s", now_ms + at)
    every = [f"s@{now_ms + at}" for at in range(10)]
    page = logs.get_log_events(**request)
    assert texts(page) == every[6:]
    assert page["nextForwardToken"].startswith("f/")
    assert page["nextBackwardToken"].startswith("b/")
    older = logs.get_log_events(**request, nextToken=page["nextBackwardToken"])
    assert texts(older) == every[2:6]
    oldest = logs.get_log_events(**request, nextToken=older["nextBackwardToken"])
    assert texts(oldest) == every[:2]
    start = logs.get_log_events(**request, nextToken=oldest["nextBackwardToken"])
    assert texts(start) == []
    assert start["nextBackwardToken"] == oldest["nextBackwardToken"]
    assert texts(logs.get_log_events(**request, nextToken=start["nextForwardToken"])) == every[:4]
    end = logs.get_log_events(**request, nextToken=page["nextForwardToken"])
    assert (end["events"], end["nextForwardToken"]) == ([], page["nextForwardToken"])
    assert texts(logs.get_log_events(**request, nextToken=end["nextBackwardToken"])) == every[6:]
    put(logs, group, "s", now_ms + 10)
    assert texts(logs.get_log_events(**request, nextToken=end["nextForwardToken"])) == [
        f"s@{now_ms + 10}"
    ]
    ranged = logs.get_log_events(**request, startTime=now_ms + 3, endTime=now_ms + 5)
    assert texts(ranged) == every[3:5]


def test_tokens_belong_to_their_stream(logs: Any, now_ms: int) -> None:
    group = made(logs, "s", "t")
    put(logs, group, "s", now_ms)
    token = logs.get_log_events(**group, logStreamName="s")["nextForwardToken"]
    for stream, bad in (("t", token), ("s", token + "1"), ("s", "f/1"), ("s", "x")):
        assert refused(logs.get_log_events, **group, logStreamName=stream, nextToken=bad) == (
            "InvalidParameterException",
            "The specified nextToken is invalid.",
        )


def test_an_empty_stream_can_be_followed(logs: Any, now_ms: int) -> None:
    group = made(logs, "s")
    page = logs.get_log_events(**group, logStreamName="s")
    assert page["events"] == []
    put(logs, group, "s", now_ms)
    token = page["nextForwardToken"]
    assert texts(logs.get_log_events(**group, logStreamName="s", nextToken=token)) == [
        f"s@{now_ms}"
    ]


def test_events_that_come_late_are_read_in_order(logs: Any, now_ms: int) -> None:
    group = made(logs, "s")
    for at in (5, 1, 9, 3):
        put(logs, group, "s", now_ms + at)
    wanted = [f"s@{now_ms + at}" for at in (1, 3, 5, 9)]
    assert texts(logs.get_log_events(**group, logStreamName="s", startFromHead=True)) == wanted
    assert texts(logs.get_log_events(**group, logStreamName="s", limit=2)) == wanted[2:]
    assert texts(logs.filter_log_events(**group)) == wanted
    (stream,) = logs.describe_log_streams(**group)["logStreams"]
    assert stream["lastEventTimestamp"] == now_ms + 9


def test_pages_hold_a_megabyte(logs: Any, now_ms: int) -> None:
    group = made(logs, "s")
    for at in range(4):
        put(logs, group, "s", now_ms + at, text=f"{at}" * 400_000)
    pages = [
        len(page["events"]) for page in logs.get_paginator("filter_log_events").paginate(**group)
    ]
    assert sum(pages) == 4
    assert max(pages) == 2
    assert len(logs.get_log_events(**group, logStreamName="s")["events"]) == 2


def test_searching_many_streams(logs: Any, now_ms: int) -> None:
    streams = ["a", "b", "c"]
    group = made(logs, *streams, "other")
    for at in range(30):
        put(logs, group, streams[at % 3], now_ms + at // 2)
    put(logs, group, "other", now_ms)
    wanted = sorted((now_ms + at // 2, streams[at % 3]) for at in range(30))
    for limit in (1, 7, 100):
        pages = logs.get_paginator("filter_log_events").paginate(
            **group, logStreamNames=streams, limit=limit
        )
        found = [event for page in pages for event in page["events"]]
        assert sorted((one["timestamp"], one["logStreamName"]) for one in found) == wanted
        assert [one["timestamp"] for one in found] == sorted(at for at, _ in wanted)
        assert len({one["eventId"] for one in found}) == 30
    last = logs.filter_log_events(**group, logStreamNames=streams, startFromHead=False, limit=3)
    assert [one["timestamp"] for one in last["events"]] == [at for at, _ in wanted[:-4:-1]]
    pages = logs.get_paginator("filter_log_events").paginate(
        **group, logStreamNamePrefix="a", startFromHead=False, limit=3
    )
    found = [event for page in pages for event in page["events"]]
    assert [one["timestamp"] for one in found] == [at for at, on in wanted[::-1] if on == "a"]
    ranged = logs.filter_log_events(**group, startTime=now_ms + 3, endTime=now_ms + 4)
    assert len(ranged["events"]) == 4
    assert (
        refused(logs.filter_log_events, **group, logStreamNames=["a"], logStreamNamePrefix="a")[0]
        == "InvalidParameterException"
    )


def test_searching_by_pattern(logs: Any, now_ms: int) -> None:
    group = made(logs, "s")
    put(logs, group, "s", now_ms, text='{"level": "ERROR", "ms": 12}')
    put(logs, group, "s", now_ms, text="plain ERROR")
    found = logs.filter_log_events(**group, filterPattern='{ $.level = "ERROR" && $.ms > 3 }')
    assert [one["message"][0] for one in found["events"]] == ["{"]
    assert found["searchedLogStreams"] == []
    assert refused(logs.filter_log_events, **group, filterPattern="{")[0] == (
        "InvalidParameterException"
    )
    tried = logs.test_metric_filter(filterPattern="[a, b]", logEventMessages=["x", "x y"])
    assert tried["matches"] == [
        {"eventNumber": 2, "eventMessage": "x y", "extractedValues": {"$a": "x", "$b": "y"}}
    ]


def test_each_event_once_while_others_come(logs: Any, now_ms: int) -> None:
    """Pages of a search and of a stream, with writes between them, to every stream and earlier
    than the place of the reader too."""
    group = made(logs, "a", "b")
    for at in range(20):
        put(logs, group, "ab"[at % 2], now_ms + 10 * at)
    there = {event["eventId"] for event in logs.filter_log_events(**group)["events"]}
    seen: list[str] = []
    token: dict[str, str] = {}
    for turn in itertools.count():
        page = logs.filter_log_events(**group, limit=3, **token)
        seen += [event["eventId"] for event in page["events"]]
        if turn < 8:
            put(logs, group, "ab"[turn % 2], now_ms + 25 * turn)
        if "nextToken" not in page:
            break
        token = {"nextToken": page["nextToken"]}
    assert len(seen) == len(set(seen))
    assert there <= set(seen)


def test_streams_described(logs: Any, now_ms: int) -> None:
    group = made(logs, "b", "a", "c")
    put(logs, group, "a", now_ms + 2)
    put(logs, group, "b", now_ms + 1)

    def listed(**request: Any) -> list[str]:
        found: list[str] = []
        pages = logs.get_paginator("describe_log_streams").paginate(**group, **request)
        for page in pages:
            found += [stream["logStreamName"] for stream in page["logStreams"]]
        return found

    for size in (1, 2, 50):
        page = {"PaginationConfig": {"PageSize": size}}
        assert listed(**page) == ["a", "b", "c"]
        assert listed(descending=True, **page) == ["c", "b", "a"]
        assert listed(orderBy="LastEventTime", **page) == ["c", "b", "a"]
        assert listed(orderBy="LastEventTime", descending=True, **page) == ["a", "b", "c"]
    assert (
        "Cannot order by LastEventTime"
        in refused(
            logs.describe_log_streams, **group, orderBy="LastEventTime", logStreamNamePrefix="a"
        )[1]
    )
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:{group['logGroupName']}"
    starred = refused(logs.describe_log_streams, logGroupIdentifier=f"{arn}:*")
    assert starred[0] == "InvalidParameterException"
    for identifier in (arn, group["logGroupName"]):
        found = logs.describe_log_streams(logGroupIdentifier=identifier, logStreamNamePrefix="a")
        assert found["logStreams"][0]["arn"] == f"{arn}:log-stream:a"
    both = group | {"logGroupIdentifier": arn}
    assert refused(logs.describe_log_streams, **both)[0] == "InvalidParameterException"
    assert refused(logs.describe_log_streams)[0] == "InvalidParameterException"
    logs.delete_log_stream(**group, logStreamName="a")
    assert listed() == ["b", "c"]
    logs.create_log_stream(**group, logStreamName="a")
    assert logs.get_log_events(**group, logStreamName="a")["events"] == []


def test_the_journal_is_readable_at_once(server: ThreadServer, logs: Any, now_ms: int) -> None:
    name = "/aws/lambda/journalled"

    async def write(stream: str, *texts: str) -> None:
        lines = [(now_ms, text) for text in texts]
        server.platform.journal.write(ACCOUNT, "us-east-1", name, stream, lines)

    server.run(write("one", "START\n", "REPORT\n"))
    found = logs.filter_log_events(logGroupName=name, filterPattern="REPORT")
    assert texts(found) == ["REPORT\n"]
    server.run(write("two", "END\n"))
    streams = logs.describe_log_streams(logGroupName=name)["logStreams"]
    assert [stream["logStreamName"] for stream in streams] == ["one", "two"]
    assert streams[0]["lastEventTimestamp"] == now_ms
    server.run(write("one", "more\n"))
    assert texts(logs.get_log_events(logGroupName=name, logStreamName="one"))[-1] == "more\n"
    (group,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert group["storedBytes"] == sum(
        26 + len(text) for text in ("START\n", "REPORT\n", "END\n", "more\n")
    )
    logs.delete_log_group(logGroupName=name)
    assert refused(logs.get_log_events, logGroupName=name, logStreamName="one")[0] == (
        "ResourceNotFoundException"
    )
    server.run(write("one", "again\n"))
    assert texts(logs.filter_log_events(logGroupName=name)) == ["again\n"]
    server.run(write("one"))


def test_the_journal_leaves_a_group_as_it_is(server: ThreadServer, logs: Any, now_ms: int) -> None:
    group = made(logs, tags={"a": "b"})
    name = group["logGroupName"]
    logs.put_retention_policy(**group, retentionInDays=3)

    async def write() -> None:
        server.platform.journal.write(ACCOUNT, "us-east-1", name, "s", [(now_ms, "m")])

    server.run(write())
    assert texts(logs.filter_log_events(**group)) == ["m"]
    (described,) = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    assert described["retentionInDays"] == 3


def test_events_survive_kill_9(lambent_process: Callable[..., Any]) -> None:
    process = lambent_process()
    logs = process.client("logs")
    group = made(logs, "s")
    now_ms = int(time.time() * 1000)
    for at in range(5):
        put(logs, group, "s", now_ms + at)
    process.kill()
    process.restart()
    logs = process.client("logs")
    wanted = [f"s@{now_ms + at}" for at in range(5)]
    assert texts(logs.get_log_events(**group, logStreamName="s")) == wanted
    put(logs, group, "s", now_ms + 9)
    (described,) = logs.describe_log_groups(logGroupNamePrefix=group["logGroupName"])["logGroups"]
    assert described["storedBytes"] == sum(26 + len(one) for one in [*wanted, wanted[0]])
