"""Errors in every protocol, as botocore reads them and as AWS writes them."""

import json
from typing import Any

import pytest

from lambent.base.errors import AwsError
from lambent.net import BytesBody, Request, Response
from lambent.wire import Call
from tests.wire.generate import codec_of, read_by_botocore


def answer(
    service: str, operation: str, protocol: str, error: AwsError, method: str = "POST"
) -> Response:
    request = Request(method, "/", "", {}, BytesBody())
    return codec_of(service).serialize_error(error, Call(operation, protocol), request, "id-1")


@pytest.mark.parametrize(
    ("service", "operation", "protocol", "code", "status"),
    [
        ("lambda", "Invoke", "rest-json", "ResourceNotFoundException", 404),
        ("lambda", "Invoke", "rest-json", "TooManyRequestsException", 429),
        ("dynamodb", "GetItem", "json", "ResourceNotFoundException", 400),
        ("sns", "Publish", "query", "NotFound", 404),
        ("s3", "GetObject", "rest-xml", "NoSuchKey", 404),
        ("iam", "GetRole", "query", "NoSuchEntity", 404),
        ("cloudwatch", "GetDashboard", "smithy-rpc-v2-cbor", "ResourceNotFound", 400),
        ("ec2", "DescribeInstances", "ec2", "InvalidInstanceID.NotFound", 400),
        ("sqs", "SendMessage", "json", "AWS.SimpleQueueService.NonExistentQueue", 400),
        ("sqs", "SendMessage", "query", "AWS.SimpleQueueService.NonExistentQueue", 400),
    ],
)
def test_botocore_reads_our_errors(
    service: str, operation: str, protocol: str, code: str, status: int
) -> None:
    response = answer(service, operation, protocol, AwsError(code, "te<x>t & more"))
    assert response.status == status
    read = read_by_botocore(service, operation, response, protocol)["Error"]
    assert (read["Code"], read["Message"]) == (code, "te<x>t & more")


def body_of(response: Response) -> Any:
    assert isinstance(response.body, bytes)
    return json.loads(response.body)


def test_lambda_s_errors_have_a_type_and_their_own_casing() -> None:
    error = AwsError(
        "TooManyRequestsException",
        "Rate Exceeded.",
        fields={"Reason": "CallerRateLimitExceeded", "retryAfterSeconds": "3", "secret": 1},
    )
    response = answer("lambda", "Invoke", "rest-json", error)
    assert body_of(response) == {
        "Type": "User",
        "message": "Rate Exceeded.",
        "Reason": "CallerRateLimitExceeded",
    }
    assert ("x-amzn-ErrorType", "TooManyRequestsException") in response.headers
    assert ("Retry-After", "3") in response.headers
    assert ("x-amzn-RequestId", "id-1") in response.headers
    response = answer("lambda", "Invoke", "rest-json", AwsError("ServiceException", "x"))
    assert response.status == 500
    assert body_of(response) == {"Type": "Service", "Message": "x"}
    response = answer("lambda", "Invoke", "rest-json", AwsError("AccessDeniedException", None))
    assert (response.status, body_of(response)) == (403, {"Message": None})


def test_query_compatible_services_keep_their_old_codes() -> None:
    response = answer("sqs", "SendMessage", "json", AwsError("QueueDoesNotExist", "gone"))
    assert body_of(response) == {
        "__type": "com.amazonaws.sqs#QueueDoesNotExist",
        "message": "gone",
    }
    query_error = ("x-amzn-query-error", "AWS.SimpleQueueService.NonExistentQueue;Sender")
    assert query_error in response.headers


def test_s3_s_errors_are_bare() -> None:
    error = AwsError("NoSuchBucket", "gone", fields={"BucketName": "b&c"}, headers={"x-a": "b"})
    response = answer("s3", "GetObject", "rest-xml", error)
    assert response.status == 404
    assert response.body == (
        b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchBucket</Code>'
        b"<Message>gone</Message><BucketName>b&amp;c</BucketName><RequestId>id-1</RequestId>"
        b"<HostId>aWQtMWlkLTE=</HostId></Error>"
    )
    assert ("x-a", "b") in response.headers
    assert ("x-amz-request-id", "id-1") in response.headers
    head = answer("s3", "HeadObject", "rest-xml", error, "HEAD")
    assert (head.status, head.body) == (404, b"")


@pytest.mark.parametrize(
    ("code", "protocol", "status"),
    [
        ("Nope", "query", 400),
        ("AccessDenied", "query", 403),
        ("InternalFailure", "query", 500),
        ("NotImplemented", "query", 501),
        ("ServiceUnavailable", "query", 503),
        ("SignatureDoesNotMatch", "query", 403),
        ("AccessDeniedException", "json", 400),
        ("InternalServerError", "json", 500),
    ],
)
def test_statuses_of_common_errors(code: str, protocol: str, status: int) -> None:
    service = "iam" if protocol == "query" else "kms"
    operation = "GetRole" if protocol == "query" else "CreateKey"
    assert answer(service, operation, protocol, AwsError(code, None)).status == status
    assert answer(service, operation, protocol, AwsError(code, None, status=418)).status == 418
