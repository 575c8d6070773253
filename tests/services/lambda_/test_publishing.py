"""Versions by boto3."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers import ThreadServer
from tests.services.lambda_.zips import ROLE, python


@pytest.fixture
def client(server: ThreadServer) -> Any:
    return server.client("lambda")


def deploy(client: Any, name: str, answer: str, **changes: Any) -> None:
    code = python(f"def handler(event, context):\n    return {answer!r}\n")
    request = {
        "FunctionName": name,
        "Role": ROLE,
        "Runtime": "python3.12",
        "Handler": "index.handler",
        "Code": {"ZipFile": code},
    }
    client.create_function(**(request | changes))
    client.get_waiter("function_active_v2").wait(FunctionName=name)


def update(client: Any, name: str, answer: str) -> None:
    code = python(f"def handler(event, context):\n    return {answer!r}\n")
    client.update_function_code(FunctionName=name, ZipFile=code)
    client.get_waiter("function_updated_v2").wait(FunctionName=name)


def payload(client: Any, **request: Any) -> bytes:
    data: bytes = client.invoke(**request)["Payload"].read()
    return data


def test_a_version_keeps_what_it_was(client: Any) -> None:
    deploy(client, "kept", "one")
    first = client.publish_version(FunctionName="kept", Description="the first")
    assert first["ResponseMetadata"]["HTTPStatusCode"] == 201
    assert (first["Version"], first["Description"]) == ("1", "the first")
    assert first["FunctionArn"].endswith(":function:kept:1")
    update(client, "kept", "two")
    assert client.publish_version(FunctionName="kept")["Version"] == "2"
    assert payload(client, FunctionName="kept", Qualifier="1") == b'"one"'
    assert payload(client, FunctionName="kept:2") == b'"two"'
    answer = client.invoke(FunctionName="kept", Qualifier="1")
    assert answer["ExecutedVersion"] == "1"


def test_publishing_without_a_change_answers_the_same_version(client: Any) -> None:
    deploy(client, "same", "x")
    first = client.publish_version(FunctionName="same")
    second = client.publish_version(FunctionName="same", Description="ignored")
    assert second["Version"] == first["Version"] == "1"
    assert second["RevisionId"] == first["RevisionId"]
    client.update_function_configuration(FunctionName="same", Timeout=7)
    client.get_waiter("function_updated_v2").wait(FunctionName="same")
    assert client.publish_version(FunctionName="same")["Version"] == "2"


def test_publishing_changes_the_revision_of_latest(client: Any) -> None:
    deploy(client, "revised", "x")
    before = client.get_function_configuration(FunctionName="revised")["RevisionId"]
    client.publish_version(FunctionName="revised", RevisionId=before)
    assert client.get_function_configuration(FunctionName="revised")["RevisionId"] != before
    with pytest.raises(ClientError) as caught:
        client.publish_version(FunctionName="revised", RevisionId=before)
    assert caught.value.response["Error"]["Code"] == "PreconditionFailedException"


def test_the_sha_guards_what_is_published(client: Any) -> None:
    deploy(client, "guarded", "x")
    with pytest.raises(ClientError) as caught:
        client.publish_version(FunctionName="guarded", CodeSha256="other")
    error = caught.value.response["Error"]
    assert error["Code"] == "InvalidParameterValueException"
    assert error["Message"].startswith(
        "CodeSHA256 (other) is different from current CodeSHA256 in $LATEST ("
    )


def test_create_and_update_may_publish(client: Any) -> None:
    deploy(client, "published", "x", Publish=True)
    config = client.get_function_configuration(FunctionName="published", Qualifier="1")
    assert (config["State"], config["Version"]) == ("Active", "1")
    code = python("def handler(event, context):\n    return 2\n")
    answer = client.update_function_code(FunctionName="published", ZipFile=code, Publish=True)
    assert answer["Version"] == "2"
    client.get_waiter("function_updated_v2").wait(FunctionName="published")
    assert payload(client, FunctionName="published", Qualifier="2") == b"2"
    assert payload(client, FunctionName="published", Qualifier="1") == b'"x"'


def test_versions_are_listed_in_order_and_pages(client: Any) -> None:
    deploy(client, "pages", "0")
    for number in range(1, 12):
        client.update_function_configuration(FunctionName="pages", Description=str(number))
        client.get_waiter("function_updated_v2").wait(FunctionName="pages")
        client.publish_version(FunctionName="pages")
    pages = client.get_paginator("list_versions_by_function").paginate(
        FunctionName="pages", PaginationConfig={"PageSize": 5}
    )
    versions = [version["Version"] for page in pages for version in page["Versions"]]
    assert versions == ["$LATEST", *map(str, range(1, 12))]


def test_numbers_are_never_reused(client: Any) -> None:
    deploy(client, "numbers", "x", Publish=True)
    client.delete_function(FunctionName="numbers", Qualifier="1")
    client.update_function_configuration(FunctionName="numbers", Timeout=9)
    client.get_waiter("function_updated_v2").wait(FunctionName="numbers")
    assert client.publish_version(FunctionName="numbers")["Version"] == "2"
    with pytest.raises(ClientError) as caught:
        client.get_function(FunctionName="numbers", Qualifier="1")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
