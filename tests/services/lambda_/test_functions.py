"""Functions by boto3: create, read, list, update, delete, and every refusal."""

import base64
import hashlib
import io
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers import ThreadServer
from tests.services.lambda_.zips import ECHO, ROLE, package, python


@pytest.fixture
def client(server: ThreadServer) -> Any:
    return server.client("lambda")


def create(client: Any, name: str, **changes: Any) -> dict[str, Any]:
    request = {
        "FunctionName": name,
        "Role": ROLE,
        "Runtime": "python3.12",
        "Handler": "index.handler",
        "Code": {"ZipFile": ECHO},
    }
    answer: dict[str, Any] = client.create_function(**(request | changes))
    return answer


def error(call: Callable[..., Any], **request: Any) -> tuple[int, str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    response = caught.value.response
    return (
        response["ResponseMetadata"]["HTTPStatusCode"],
        response["Error"]["Code"],
        response["Error"]["Message"],
    )


def test_create_answers_pending_with_every_default(client: Any) -> None:
    answer = create(client, "defaults")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
    arn = "arn:aws:lambda:us-east-1:000000000000:function:defaults"
    runtime = answer.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert runtime.startswith("arn:aws:lambda:us-east-1::runtime:")
    for name in ("ResponseMetadata", "RevisionId", "LastModified"):
        answer.pop(name)
    assert answer == {
        "FunctionName": "defaults",
        "FunctionArn": arn,
        "Runtime": "python3.12",
        "Role": ROLE,
        "Handler": "index.handler",
        "CodeSize": len(ECHO),
        "CodeSha256": base64.b64encode(hashlib.sha256(ECHO).digest()).decode(),
        "Description": "",
        "Timeout": 3,
        "MemorySize": 128,
        "Version": "$LATEST",
        "TracingConfig": {"Mode": "PassThrough"},
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "EphemeralStorage": {"Size": 512},
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/defaults"},
    }


def test_it_becomes_active_with_a_new_revision(client: Any) -> None:
    created = create(client, "active")
    client.get_waiter("function_active_v2").wait(FunctionName="active")
    got = client.get_function(FunctionName="active")["Configuration"]
    assert (got["State"], got["LastUpdateStatus"]) == ("Active", "Successful")
    assert got["RevisionId"] != created["RevisionId"]
    assert "StateReason" not in got


def test_the_code_can_be_downloaded_from_its_signed_address(client: Any) -> None:
    create(client, "download")
    location = client.get_function(FunctionName="download")["Code"]["Location"]
    with urllib.request.urlopen(location) as answer:
        assert answer.read() == ECHO
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(location[:-1] + ("0" if location[-1] != "0" else "1"))
    assert caught.value.code == 403
    caught.value.close()


def test_latest_is_in_the_arn_only_when_asked_for(client: Any) -> None:
    arn = create(client, "latest")["FunctionArn"]
    get = client.get_function_configuration
    assert get(FunctionName="latest")["FunctionArn"] == arn
    assert get(FunctionName="latest", Qualifier="$LATEST")["FunctionArn"] == f"{arn}:$LATEST"


def test_a_second_create_is_a_conflict(client: Any) -> None:
    create(client, "twice")
    status, code, message = error(lambda: create(client, "twice"))
    expected = (409, "ResourceConflictException", "Function already exist: twice")
    assert (status, code, message) == expected


@pytest.mark.parametrize(
    ("changes", "status", "code", "message"),
    [
        ({"Code": {"ZipFile": b"junk"}}, 400, "InvalidParameterValueException",
         "Could not unzip uploaded file. Please check your file, then try to upload again."),
        ({"Runtime": "python3.7"}, 400, "InvalidParameterValueException",
         "The runtime parameter of python3.7 is no longer supported for creating or updating AWS "
         "Lambda functions. We recommend you use a supported runtime while creating or updating "
         "functions."),
        ({"Role": "r1"}, 400, "ValidationException",
         "1 validation error detected: Value 'r1' at 'role' failed to satisfy constraint: Member "
         "must satisfy regular expression pattern: "
         r"arn:(aws[a-zA-Z-]*)?:iam::\d{12}:role/?[a-zA-Z_0-9+=,.@\-_/]+"),
        ({"Timeout": 901}, 400, "ValidationException",
         "1 validation error detected: Value '901' at 'timeout' failed to satisfy constraint: "
         "Member must have value less than or equal to 900"),
        ({"Environment": {"Variables": {"AWS_REGION": "x", "LAMBDA_TASK_ROOT": "y"}}}, 400,
         "InvalidParameterValueException",
         "Lambda was unable to configure your environment variables because the environment "
         "variables you have provided contains reserved keys that are currently not supported for "
         "modification. Reserved keys used in this request: AWS_REGION, LAMBDA_TASK_ROOT"),
        ({"SnapStart": {"ApplyOn": "PublishedVersions"}}, 400, "InvalidParameterValueException",
         "Lambent does not support SnapStart PublishedVersions yet."),
        ({"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]}, 400,
         "InvalidParameterValueException", "Lambent does not support Layers yet."),
        ({"DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"}}, 400,
         "InvalidParameterValueException", "Lambent does not support DeadLetterConfig yet."),
    ],
)  # fmt: skip
def test_refusals_of_create(
    client: Any, changes: dict[str, Any], status: int, code: str, message: str
) -> None:
    assert error(lambda: create(client, "refused", **changes)) == (status, code, message)
    assert error(client.get_function, FunctionName="refused")[1] == "ResourceNotFoundException"


def test_names_are_at_most_64_long(client: Any) -> None:
    name = "a" * 65
    assert error(lambda: create(client, name)) == (
        400,
        "InvalidParameterValueException",
        f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy "
        "constraint: Member must have length less than or equal to 64",
    )


def test_an_environment_over_4_kb_is_refused(client: Any) -> None:
    variables = {"BIG": "x" * 5000}
    status, code, message = error(
        lambda: create(client, "bigenv", Environment={"Variables": variables})
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message.endswith(f'exceeded the 4KB limit. String measured: {{"BIG":"{"x" * 5000}"}}')


@pytest.mark.parametrize("name", ["../evil.py", "/etc/evil.py", "a/../../evil.py"])
def test_paths_that_leave_the_package_are_refused(client: Any, name: str) -> None:
    code = {"ZipFile": package({name: "x"})}
    assert error(lambda: create(client, "traversal", Code=code))[2].startswith("Could not unzip")


def test_a_zip_bomb_is_refused_by_what_it_says(client: Any) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(26):
            archive.writestr(f"{number}.bin", bytes(10_485_760))
    status, code, message = error(
        lambda: create(client, "bomb", Code={"ZipFile": buffer.getvalue()})
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message == "Unzipped size must be smaller than 262144000 bytes"


def test_a_zip_over_50_mb_is_too_large(client: Any) -> None:
    code = {"ZipFile": bytes(52_428_801)}
    assert error(lambda: create(client, "large", Code=code)) == (
        413,
        "RequestEntityTooLargeException",
        "Zipped size must be smaller than 52428800 bytes",
    )


def test_functions_are_listed_in_pages(server: ThreadServer) -> None:
    client = server.client("lambda", region="eu-west-1")
    names = {f"listed-{number}" for number in range(7)}
    for name in names:
        create(client, name)
    pages = list(client.get_paginator("list_functions").paginate(PaginationConfig={"PageSize": 3}))
    found = [function for page in pages for function in page["Functions"]]
    assert [len(page["Functions"]) for page in pages] == [3, 3, 1]
    assert {function["FunctionName"] for function in found} == names
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & found[0].keys()
    every = client.list_functions(FunctionVersion="ALL")["Functions"]
    assert every[0]["FunctionArn"].endswith(":$LATEST")


def test_update_code_and_configuration(client: Any) -> None:
    create(client, "updated")
    client.get_waiter("function_active_v2").wait(FunctionName="updated")
    new = python("def handler(event, context):\n    return 'new'\n")
    answer = client.update_function_code(FunctionName="updated", ZipFile=new)
    assert (answer["LastUpdateStatus"], answer["LastUpdateStatusReasonCode"]) == (
        "InProgress",
        "Creating",
    )
    client.get_waiter("function_updated_v2").wait(FunctionName="updated")
    answer = client.update_function_configuration(
        FunctionName="updated", Description="d", Timeout=9, Environment={"Variables": {"AB": "1"}}
    )
    client.get_waiter("function_updated_v2").wait(FunctionName="updated")
    got = client.get_function_configuration(FunctionName="updated")
    assert (got["Description"], got["Timeout"]) == ("d", 9)
    assert got["Environment"] == {"Variables": {"AB": "1"}}
    assert got["CodeSha256"] == base64.b64encode(hashlib.sha256(new).digest()).decode()


def test_a_stale_revision_is_refused(client: Any) -> None:
    stale = create(client, "stale")["RevisionId"]
    client.get_waiter("function_active_v2").wait(FunctionName="stale")
    status, code, _ = error(
        client.update_function_configuration, FunctionName="stale", RevisionId=stale, Timeout=5
    )
    assert (status, code) == (412, "PreconditionFailedException")


def test_dry_run_changes_nothing(client: Any) -> None:
    create(client, "dry")
    client.get_waiter("function_active_v2").wait(FunctionName="dry")
    before = client.get_function_configuration(FunctionName="dry")
    client.update_function_code(FunctionName="dry", ZipFile=python("x = 1\n"), DryRun=True)
    after = client.get_function_configuration(FunctionName="dry")
    before.pop("ResponseMetadata")
    after.pop("ResponseMetadata")
    assert before == after


def test_code_from_s3(server: ThreadServer, client: Any) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="code-bucket")
    s3.put_object(Bucket="code-bucket", Key="f.zip", Body=ECHO)
    answer = create(client, "from-s3", Code={"S3Bucket": "code-bucket", "S3Key": "f.zip"})
    assert answer["CodeSize"] == len(ECHO)
    code = {"S3Bucket": "code-bucket", "S3Key": "none"}
    assert error(lambda: create(client, "no-key", Code=code)) == (
        400,
        "InvalidParameterValueException",
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. "
        "S3 Error Message: The specified key does not exist.",
    )


def test_delete(client: Any) -> None:
    create(client, "deleted", Publish=True)
    client.get_waiter("function_active_v2").wait(FunctionName="deleted")
    status, code, message = error(
        client.delete_function, FunctionName="deleted", Qualifier="$LATEST"
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message == "$LATEST version cannot be deleted without deleting the function."
    answer = client.delete_function(FunctionName="deleted")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204
    for qualifier in ({}, {"Qualifier": "1"}):
        status, code, message = error(client.get_function, FunctionName="deleted", **qualifier)
        assert (status, code) == (404, "ResourceNotFoundException")
    assert error(client.delete_function, FunctionName="deleted")[0] == 404


def test_tags(client: Any) -> None:
    arn = create(client, "tagged", Tags={"a": "1"})["FunctionArn"]
    client.get_waiter("function_active_v2").wait(FunctionName="tagged")
    client.tag_resource(Resource=arn, Tags={"b": "2"})
    assert client.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "2"}
    client.untag_resource(Resource=arn, TagKeys=["a"])
    assert client.get_function(FunctionName="tagged")["Tags"] == {"b": "2"}
    status, code, message = error(
        client.tag_resource, Resource=arn, Tags={str(number): "x" for number in range(50)}
    )
    assert (status, code) == (400, "InvalidParameterValueException")
    assert message == "Number of tags exceeds resource tag limit."


def test_account_settings(server: ThreadServer) -> None:
    client = server.client("lambda", account="123456789012")
    create(client, "counted", Role="arn:aws:iam::123456789012:role/r")
    settings = client.get_account_settings()
    assert settings["AccountUsage"] == {"TotalCodeSize": len(ECHO), "FunctionCount": 1}
    assert settings["AccountLimit"]["ConcurrentExecutions"] == 1000


def test_accounts_and_regions_do_not_see_each_other(server: ThreadServer) -> None:
    create(server.client("lambda", account="111111111111"), "mine")
    other = server.client("lambda", account="222222222222")
    assert error(other.get_function, FunctionName="mine")[0] == 404
    elsewhere = server.client("lambda", account="111111111111", region="eu-central-1")
    assert error(elsewhere.get_function, FunctionName="mine")[0] == 404


def test_operations_that_are_not_served_say_so(client: Any) -> None:
    status, code, message = error(client.list_layers)
    assert (status, code) == (501, "NotImplemented")
    assert "ListLayers" in message
