"""Answers whose exact bytes clients other than boto3 depend on."""

from lambent.net import Response
from lambent.wire import Call
from tests.wire.generate import codec_of

XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
S3 = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


def answer(service: str, operation: str, protocol: str, result: dict[str, object]) -> Response:
    return codec_of(service).serialize(Call(operation, protocol), result, "id-1")


def test_s3_roots_have_their_own_names() -> None:
    response = answer("s3", "ListObjectsV2", "rest-xml", {"Name": "b", "KeyCount": 0})
    assert (
        response.body
        == (
            f"{XML}<ListBucketResult{S3}><Name>b</Name><KeyCount>0</KeyCount></ListBucketResult>"
        ).encode()
    )
    response = answer("s3", "GetBucketLocation", "rest-xml", {"LocationConstraint": "eu-west-1"})
    assert response.body == (
        f"{XML}<LocationConstraint{S3}>eu-west-1</LocationConstraint>".encode()
    )


def test_query_answers_are_wrapped() -> None:
    response = answer("sns", "Publish", "query", {"MessageId": "m<"})
    assert (
        response.body
        == (
            f'{XML}<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>'
            "<MessageId>m&lt;</MessageId></PublishResult><ResponseMetadata><RequestId>id-1</RequestId>"
            "</ResponseMetadata></PublishResponse>"
        ).encode()
    )


def test_operations_without_output_answer_nothing() -> None:
    assert answer("sqs", "DeleteMessage", "json", {}).body == b""
    assert answer("sqs", "DeleteMessage", "json", {}).headers == [
        ("Content-Type", "application/x-amz-json-1.0"),
        ("x-amzn-RequestId", "id-1"),
    ]
    response = answer("lambda", "DeleteAlias", "rest-json", {})
    assert (response.status, response.body) == (204, b"")
