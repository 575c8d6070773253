"""The answers of CloudWatch Logs compared with AWS's. What is not served yet is named below."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.recordings import FOLDER, Recording
from tests.servers import ThreadServer

ACCOUNT = "111111111111"
FILES = ("logs_events", "logs_streams", "logs_groups", "logs_filter_events")
NOT_SERVED = {
    "logs_delivery": "deliveries of other services' logs",
    "logs_destinations": "destinations in other accounts",
    "logs_export_tasks": "exports to S3",
    "logs_metric_filters": "metric filters: there are no metrics yet",
    "logs_queries": "Logs Insights",
    "logs_resource_policies": "resource policies: nothing is evaluated yet",
    "logs_subscription_filters": "subscription filters",
}
LOOSE = frozenset({"timestamp", "too-new-log-event-start-index"})
HOUR_MS = 3_600_000

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"no recordings at {FOLDER}")


@pytest.fixture
def logs(server: ThreadServer) -> Any:
    return server.client("logs", account=ACCOUNT)


def recording(file: str, scenario: str) -> Recording:
    return Recording(f"logs/{file}.json", scenario, loose=LOOSE)


def refused(call: Callable[..., Any], **request: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    response: dict[str, Any] = caught.value.response
    return response


def made(logs: Any, group: str, *streams: str, **more: Any) -> dict[str, str]:
    logs.create_log_group(logGroupName=group, **more)
    for stream in streams:
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
    return {"logGroupName": group}


def test_putting_to_a_stream_that_is_not_there(logs: Any, server: ThreadServer) -> None:
    recorded = recording("logs_events", "TestLogsEvents::test_put_log_events_to_invalid_stream")
    event = {"timestamp": int(server.clock.now() * 1000), "message": "m"}
    answer = refused(
        logs.put_log_events,
        **made(logs, "no-stream"),
        logStreamName="invalid",
        logEvents=[event],
    )
    recorded.match("error-invalid-stream", answer)
    recorded.done()


def test_putting_events_of_the_future(logs: Any, server: ThreadServer) -> None:
    recorded = recording("logs_events", "TestLogsEvents::test_put_log_events_too_new")
    now_ms = int(server.clock.now() * 1000)
    answer = logs.put_log_events(
        **made(logs, "too-new", "s"),
        logStreamName="s",
        logEvents=[
            {"timestamp": now_ms, "message": "now"},
            {"timestamp": now_ms + 3 * HOUR_MS, "message": "later"},
        ],
    )
    recorded.match("response-too-new", answer)
    recorded.done()
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}


def test_streams_by_prefix(logs: Any) -> None:
    recorded = recording("logs_streams", "TestLogsStreams::test_describe_log_streams_with_prefix")
    group = made(logs, "prefixed", "other", "stream-1", "stream-2", "stream-3")
    answer = logs.describe_log_streams(**group, logStreamNamePrefix="stream-")
    recorded.match("describe-streams-with-prefix", answer)
    recorded.done()


def test_a_streams_arn(logs: Any) -> None:
    recorded = recording("logs_streams", "TestLogsStreams::test_log_stream_arn_format")
    group = made(logs, "arns", "stream-1")
    recorded.match("describe-log-streams-with-arn", logs.describe_log_streams(**group))
    recorded.done()


def test_a_group_that_exists(logs: Any) -> None:
    recorded = recording("logs_groups", "TestLogsGroups::test_create_log_group_duplicate_error")
    group = made(logs, "twice")
    recorded.match("error-duplicate-log-group", refused(logs.create_log_group, **group))
    recorded.done()


def test_groups_by_pattern(logs: Any) -> None:
    recorded = recording("logs_groups", "TestLogsGroups::test_describe_log_groups_with_pattern")
    made(logs, "a-pattern-1")
    made(logs, "b-pattern-2")
    answer = logs.describe_log_groups(logGroupNamePattern="pattern", limit=1)
    recorded.match("describe-log-groups-pattern", answer)
    recorded.done()


def test_a_group_with_tags(logs: Any) -> None:
    recorded = recording("logs_groups", "TestLogsGroupsTags::test_create_log_group_with_tags")
    made(logs, "tagged", tags={"env": "testing"})
    arn = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:tagged"
    recorded.match("list-tags-after-create", logs.list_tags_for_resource(resourceArn=arn))
    recorded.done()


def test_tagging_both_ways(logs: Any) -> None:
    recorded = recording("logs_groups", "TestLogsGroupsTags::test_tag_resource_api")
    group = made(logs, "tagging", tags={"env": "testing1"})
    resource = {"resourceArn": f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:tagging"}

    def by_arn(name: str) -> None:
        recorded.match(name, logs.list_tags_for_resource(**resource))

    def by_name(name: str) -> None:
        recorded.match(name, logs.list_tags_log_group(**group))

    by_arn("list-tags-after-create")
    logs.tag_resource(**resource, tags={"test1": "val1", "test2": "val2"})
    by_arn("list-tags-for-resource-after-tag-resource")
    by_name("list-tags-log-group-after-tag-resource")
    logs.tag_log_group(**group, tags={"test3": "val3"})
    by_arn("list-tags-for-resource-after-tag-log-group")
    by_name("list-tags-log-group-after-tag-log-group")
    logs.untag_resource(**resource, tagKeys=["env", "test1", "test3"])
    by_arn("list-tags-for-resource-after-untag")
    by_name("list-tags-log-group-after-untag")
    recorded.done()


def test_untagging_by_name(logs: Any) -> None:
    recorded = recording("logs_groups", "TestLogsGroupsTags::test_untag_log_group")
    tags = {"tag_key_1": "tag_value_1", "tag_key_2": "tag_value_2"}
    group = made(logs, "untagging", tags=tags)
    logs.untag_log_group(**group, tags=["tag_key_1"])
    recorded.match("list-tags-after-untag", logs.list_tags_log_group(**group))
    recorded.done()


def test_a_token_that_was_not_issued(logs: Any) -> None:
    scenario = "TestFilterLogEvents::test_filter_log_events_unknown_token"
    recorded = recording("logs_filter_events", scenario)
    answer = refused(logs.filter_log_events, **made(logs, "tokens", "s"), nextToken="foo")
    recorded.match("invalid-token", answer)
    recorded.done()


def test_every_recording_is_compared_or_named() -> None:
    """Each file is compared scenario for scenario, or of operations that are not served."""
    source = Path(__file__).read_text()
    for path in sorted((FOLDER / "logs").glob("*.json")):
        assert path.stem in FILES or path.stem in NOT_SERVED, path
        if path.stem in FILES:
            assert all(one in source for one in json.loads(path.read_text()))
