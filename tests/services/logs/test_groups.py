"""Groups by boto3: lists, tags, protection; and retention, in virtual time."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers import ACCOUNT, ThreadServer

DAY_S = 86_400
ARN = f"arn:aws:logs:us-east-1:{ACCOUNT}:log-group:"


@pytest.fixture
def logs(server: ThreadServer) -> Any:
    return server.client("logs", parameter_validation=False)


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def listed(logs: Any, **request: Any) -> list[str]:
    found: list[str] = []
    for page in logs.get_paginator("describe_log_groups").paginate(**request):
        found += [group["logGroupName"] for group in page["logGroups"]]
    return found


def test_lists_of_groups(logs: Any) -> None:
    for number in range(7):
        logs.create_log_group(logGroupName=f"/list/{number}")
    logs.create_log_group(logGroupName="/list/rare", logGroupClass="INFREQUENT_ACCESS")
    every = [f"/list/{number}" for number in range(7)]
    for size in (1, 3, 50):
        page = {"PaginationConfig": {"PageSize": size}}
        assert listed(logs, logGroupNamePrefix="/list/", **page) == [*every, "/list/rare"]
        assert listed(logs, logGroupNamePattern="list/", **page) == [*every, "/list/rare"]
    assert listed(logs, logGroupNamePattern="t/3") == ["/list/3"]
    rare = {"logGroupNamePrefix": "/list/", "logGroupClass": "INFREQUENT_ACCESS"}
    assert listed(logs, **rare) == ["/list/rare"]
    assert listed(logs, logGroupIdentifiers=[f"{ARN}/list/2", "/list/4"]) == ["/list/2", "/list/4"]
    assert (
        refused(logs.describe_log_groups, logGroupNamePrefix="a", logGroupNamePattern="b")[0]
        == "InvalidParameterException"
    )
    found = logs.list_log_groups(logGroupNamePattern="^/list/1|rare")["logGroups"]
    assert [group["logGroupName"] for group in found] == ["/list/1", "/list/rare"]
    assert refused(logs.describe_log_groups, accountIdentifiers=["123456789012"])[0] == (
        "InvalidParameterException"
    )
    (one,) = logs.describe_log_groups(logGroupNamePrefix="/list/rare")["logGroups"]
    assert (one["arn"], one["logGroupArn"]) == (f"{ARN}/list/rare:*", f"{ARN}/list/rare")


def test_groups_are_of_one_account_and_region(server: ThreadServer, logs: Any) -> None:
    logs.create_log_group(logGroupName="here")
    for where in ({"region": "eu-west-1"}, {"account": "222222222222"}):
        elsewhere = server.client("logs", **where)
        assert listed(elsewhere, logGroupNamePrefix="here") == []
        elsewhere.create_log_group(logGroupName="here")


def test_what_is_refused(logs: Any) -> None:
    for name, value in (("kmsKeyId", "k"), ("logGroupClass", "DELIVERY")):
        code, text = refused(logs.create_log_group, logGroupName="refused", **{name: value})
        assert (code, text.partition(" ")[0]) == ("InvalidParameterException", name)
    code, text = refused(logs.create_log_group, logGroupName="bad name")
    assert (code, text) == (
        "InvalidParameterException",
        "1 validation error detected: Value 'bad name' at 'logGroupName' failed to satisfy "
        "constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+",
    )
    logs.create_log_group(logGroupName="kept-odd")
    code, text = refused(logs.put_retention_policy, logGroupName="kept-odd", retentionInDays=2)
    assert code == "InvalidParameterException"
    assert "Value '2' at 'retentionInDays'" in text


def test_protection_and_tags(logs: Any) -> None:
    logs.create_log_group(logGroupName="safe", deletionProtectionEnabled=True, tags={"a": "b"})
    assert refused(logs.delete_log_group, logGroupName="safe")[0] == "ValidationException"
    logs.put_log_group_deletion_protection(
        logGroupIdentifier=f"{ARN}safe", deletionProtectionEnabled=False
    )
    assert logs.list_tags_for_resource(resourceArn=f"{ARN}safe")["tags"] == {"a": "b"}
    assert refused(logs.list_tags_for_resource, resourceArn=f"{ARN}safe:*")[0] == (
        "InvalidParameterException"
    )
    logs.delete_log_group(logGroupName="safe")
    for arn in (f"{ARN}safe", ARN.replace("us-east-1", "eu-west-1") + "safe"):
        assert refused(logs.list_tags_for_resource, resourceArn=arn)[0] == (
            "ResourceNotFoundException"
        )
    assert refused(logs.list_tags_for_resource, resourceArn="arn:aws:s3:::b")[0] == (
        "InvalidParameterException"
    )
    logs.create_log_group(logGroupName="safe")
    assert logs.list_tags_for_resource(resourceArn=f"{ARN}safe")["tags"] == {}
    many = {f"k{number}": "v" for number in range(50)}
    logs.tag_resource(resourceArn=f"{ARN}safe", tags=many)
    assert refused(logs.tag_resource, resourceArn=f"{ARN}safe", tags={"one": "more"})[0] == (
        "TooManyTagsException"
    )


def entries(server: ThreadServer, group: str, stream: str) -> int:
    key = (ACCOUNT, "us-east-1", "logs", "Events", group, stream)
    return len(server.run(server.platform.store.read_log(key)))


def test_retention(virtual_server: ThreadServer) -> None:
    server = virtual_server
    logs = server.client("logs")
    logs.create_log_group(logGroupName="kept")
    logs.create_log_stream(logGroupName="kept", logStreamName="s")

    def put(text: str) -> None:
        event = {"timestamp": int(server.clock.now() * 1000), "message": text}
        logs.put_log_events(logGroupName="kept", logStreamName="s", logEvents=[event])

    def messages() -> list[str]:
        found = logs.filter_log_events(logGroupName="kept")["events"]
        again = logs.get_log_events(logGroupName="kept", logStreamName="s")["events"]
        assert [one["message"] for one in found] == [one["message"] for one in again]
        return [one["message"] for one in found]

    put("first")
    server.clock.advance(2 * DAY_S)
    put("second")
    logs.put_retention_policy(logGroupName="kept", retentionInDays=1)
    assert messages() == ["second"]
    assert entries(server, "kept", "s") == 2
    server.clock.advance(DAY_S + 1)
    assert messages() == []
    assert entries(server, "kept", "s") == 1
    put("third")
    logs.put_retention_policy(logGroupName="kept", retentionInDays=3)
    assert messages() == ["second", "third"]
    server.clock.advance(2 * DAY_S)
    assert messages() == ["third"]
    (stream,) = logs.describe_log_streams(logGroupName="kept")["logStreams"]
    assert stream["firstEventTimestamp"] == stream["lastEventTimestamp"]
    (group,) = logs.describe_log_groups()["logGroups"]
    assert group["storedBytes"] == 26 + len("third")
    logs.delete_retention_policy(logGroupName="kept")
    server.clock.advance(30 * DAY_S)
    assert messages() == ["third"]
    assert "retentionInDays" not in logs.describe_log_groups()["logGroups"][0]


def test_retention_ends_with_its_group(virtual_server: ThreadServer) -> None:
    logs = virtual_server.client("logs")
    logs.create_log_group(logGroupName="short")
    logs.put_retention_policy(logGroupName="short", retentionInDays=1)
    logs.delete_log_group(logGroupName="short")
    virtual_server.clock.advance(2 * DAY_S)
    timers = virtual_server.run(virtual_server.platform.store.count(("-", "-", "kernel", "Timer")))
    assert timers == 0
