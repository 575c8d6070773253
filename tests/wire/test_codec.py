"""botocore at the other end: what it sends we read, what we answer it reads; noise is refused."""

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.net import BytesBody, Request, Response
from lambent.wire import Call, Codec, ServiceModel, Stream
from tests.wire.generate import (
    codec_of,
    drained,
    from_botocore,
    read_by_botocore,
    request_by_botocore,
    values,
)

SPOKEN = {
    "lambda": "rest-json",
    "s3": "rest-xml",
    "sqs": "json",
    "sns": "query",
    "dynamodb": "json",
    "logs": "json",
    "sts": "query",
    "iam": "query",
    "cloudwatch": "smithy-rpc-v2-cbor",
    "kinesis": "json",
    "scheduler": "rest-json",
    "apigatewayv2": "rest-json",
    "cloudformation": "query",
    "ec2": "ec2",
}
PAIRS = [*SPOKEN.items(), ("cloudwatch", "query"), ("cloudwatch", "json")]
SLOW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
    report_multiple_bugs=False,
)


def close(left: Any, right: Any) -> bool:
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(close(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(close, left, right))
    if isinstance(left, float) or isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9)
    return bool(left == right)


def operations(service: str) -> list[str]:
    model = codec_of(service).model
    names = [n for n in model.operation_names if not model.operation(n).raw.deprecated]
    if service == "s3":  # botocore's own handlers rewrite these before they are sent
        names = [n for n in names if n not in ("ListDirectoryBuckets", "WriteGetObjectResponse")]
    return names


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
def test_what_botocore_sends_is_read(service: str, protocol: str) -> None:
    codec = codec_of(service)

    @SLOW
    @given(st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(operations(service)))
        operation = codec.model.operation(name)
        shape = operation.input_shape
        params = data.draw(values(shape)) if shape else {}
        for required in shape.required if shape else ():
            member = shape.members[required]  # type: ignore[union-attr]
            if required not in params:
                params[required] = data.draw(values(member.shape, 3, in_head=bool(member.location)))
        params.pop("Expires", None)  # botocore makes a date of it
        if protocol in ("query", "ec2"):  # forms cannot carry empty structures
            assume(not _holds_empty(params))
        request, body = request_by_botocore(service, name, params, protocol)
        call = codec.match(request, body)
        assert call.operation == name
        assert call.protocol == protocol
        found = codec.parse(call, request, body)
        if "ContentLength" not in params:
            found.pop("ContentLength", None)
        payload = shape.payload if shape else None
        if payload is not None and payload.name not in params and found.get(payload.name) == {}:
            del found[payload.name]  # botocore sends {} for an absent structure
        assert close(found, _sent(shape, params)), (request, body)

    check()


def _holds_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return any(item == {} or _holds_empty(item) for item in value.values())
    return isinstance(value, list) and any(item == {} or _holds_empty(item) for item in value)


def _sent(shape: Any, params: dict[str, Any]) -> dict[str, Any]:
    """What of `params` reaches the wire: a payload that is absent or empty may not."""
    payload = shape.payload if shape else None
    if payload is not None:
        if payload.streaming:
            return {payload.name: b""} | params
        scalar = payload.shape.type in ("blob", "string")
        if scalar and not params.get(payload.name):
            return {k: v for k, v in params.items() if k != payload.name}
    return params


@pytest.mark.parametrize(("service", "protocol"), PAIRS)
def test_what_we_answer_botocore_reads(service: str, protocol: str) -> None:
    codec = codec_of(service)

    @SLOW
    @given(st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(operations(service)))
        shape = codec.model.operation(name).output_shape
        if shape is None or shape.event_stream is not None:
            return
        result = data.draw(values(shape))
        result = {k: v for k, v in result.items() if shape.members[k].location != "statusCode"}
        result.pop("Expires", None)  # botocore reads it by a handler of its own
        if shape.payload is not None and shape.payload.shape.type == "blob":
            result[shape.payload.name] = b"text"  # this parser wants text; clients stream
        response = codec.serialize(Call(name, protocol), result, "id-1")
        found = read_by_botocore(service, name, response, protocol)
        metadata = found.pop("ResponseMetadata")
        assert metadata["HTTPStatusCode"] == response.status
        wanted = {k: v for k, v in result.items() if not _moved(shape, k)}
        read = {k: v for k, v in from_botocore(shape, found).items() if k in wanted}
        assert close(read, wanted), response

    check()


def _moved(shape: Any, name: str) -> bool:
    """Members that our response carries elsewhere, or that botocore's handlers read themselves."""
    member = shape.members[name]
    return (
        member.wire_name.lower() == "content-length"
        or shape.name == "GetBucketLocationOutput"
        or (member.location == "headers" and not member.location_name)
    )


@pytest.mark.parametrize("service", sorted(SPOKEN))
def test_noise_raises_only_aws_errors(service: str) -> None:
    codec = codec_of(service)
    protocol = SPOKEN[service]
    noise = st.one_of(
        st.binary(max_size=60),
        st.sampled_from([b"{" * 5000, b"[" * 5000, b"<a>" * 5000, b"\x81" * 5000, b"null", b"[]"]),
        st.text('{}[]":,<>&=/%.0123456789ae', max_size=60).map(str.encode),
    )

    @SLOW
    @given(st.data())
    def check(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(operations(service)))
        shape = codec.model.operation(name).input_shape
        params = data.draw(values(shape, 3)) if shape else {}
        request, body = request_by_botocore(service, name, params, protocol)
        at, extra = data.draw(st.integers(0, len(body))), data.draw(noise)
        body = data.draw(st.sampled_from([body[:at], body[:at] + extra + body[at:], extra]))
        for attribute in ("path", "query"):
            if data.draw(st.booleans()):
                text = getattr(request, attribute)
                at = data.draw(st.integers(0, len(text)))
                setattr(request, attribute, text[:at] + extra.decode("latin-1") + text[at:])
        for header in request.headers:
            if data.draw(st.booleans()):
                request.headers[header] += extra.decode("latin-1")
        try:
            codec.parse(codec.match(request, body), request, body)
        except AwsError as error:
            codec.serialize_error(error, None, request, "id")

    check()


# --- by hand -------------------------------------------------------------------------------------


def request(method: str = "POST", path: str = "/", query: str = "", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, query, named, BytesBody())


def test_invoke_goes_in_and_out() -> None:
    codec = codec_of("lambda")
    asked = request(
        "POST",
        "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af/invocations",
        "Qualifier=live",
        x_amz_invocation_type="RequestResponse",
    )
    call = codec.match(asked)
    assert call.operation == "Invoke"
    assert codec.parse(call, asked, b'{"a": 1}') == {
        "FunctionName": "arn:aws:lambda:us-east-1:1:function:f",
        "Qualifier": "live",
        "InvocationType": "RequestResponse",
        "Payload": b'{"a": 1}',
    }
    answer = codec.serialize(
        call, {"StatusCode": 202, "Payload": b"{}", "FunctionError": "Unhandled"}, "id-1"
    )
    assert answer.status == 202
    assert answer.body == b"{}"
    assert ("X-Amz-Function-Error", "Unhandled") in answer.headers
    assert ("x-amzn-RequestId", "id-1") in answer.headers


def test_trailing_slashes_do_not_matter() -> None:
    codec = codec_of("lambda")
    for path in ("/2014-11-13/functions/f/invoke-async/", "/2014-11-13/functions/f/invoke-async"):
        assert codec.match(request("POST", path)).operation == "InvokeAsync"
    assert codec.match(request("GET", "/2015-03-31/functions/")).operation == "ListFunctions"


def test_unnamed_members_do_not_get_out() -> None:
    codec = codec_of("lambda")
    call = Call("GetFunctionConfiguration", "rest-json")
    result = {"FunctionName": "f", "secret": 1, "VpcConfig": {"VpcId": "v", "secret": 2}}
    assert (
        codec.serialize(call, result, "i").body == b'{"FunctionName":"f","VpcConfig":{"VpcId":"v"}}'
    )


def test_a_streaming_payload_is_passed_on() -> None:
    codec = codec_of("s3")
    assert codec.streams_in("PutObject")
    assert not codec.streams_in("PutBucketTagging")
    body = BytesBody(b"x")
    asked = request("PUT", "/b/k", x_amz_meta_colour="blue")
    assert codec.parse(codec.match(asked), asked, body) == {
        "Bucket": "b",
        "Key": "k",
        "Body": body,
        "Metadata": {"colour": "blue"},
    }


async def test_streams_go_out_with_their_length() -> None:
    async def chunks() -> Any:
        yield b"ab"
        yield b"c"

    codec = codec_of("s3")
    result = {"Body": Stream(chunks(), 3), "ContentType": "text/x", "ContentLength": 3}
    answer = codec.serialize(Call("GetObject", "rest-xml"), result, "i")
    assert answer.length == 3
    assert await drained(answer) == b"abc"
    assert ("Content-Type", "text/x") in answer.headers
    head = codec.serialize(Call("HeadObject", "rest-xml"), {"ContentLength": 9}, "i")
    assert (head.length, head.body) == (9, b"")


@pytest.mark.parametrize(
    ("service", "asked", "code", "status"),
    [
        (
            "dynamodb",
            request(x_amz_target="DynamoDB_20120810.Nope"),
            "UnknownOperationException",
            404,
        ),
        ("lambda", request("GET", "/nope"), "UnknownOperationException", 404),
        ("sns", request("GET", "/", "Action=Nope"), "InvalidAction", 400),
        ("sns", request(), "MissingAction", 400),
        ("s3", request("PATCH", "/b"), "MethodNotAllowed", 405),
    ],
)
def test_unknown_operations(service: str, asked: Request, code: str, status: int) -> None:
    codec = codec_of(service)
    with pytest.raises(AwsError) as caught:
        codec.match(asked)
    assert caught.value.code == code
    assert codec.serialize_error(caught.value, None, asked, "i").status == status


def test_sqs_still_speaks_query() -> None:
    codec = codec_of("sqs")
    form = (
        b"Action=SendMessage&Version=2012-11-05&QueueUrl=u&MessageBody=a+b%26c"
        b"&MessageAttribute.1.Name=n&MessageAttribute.1.Value.DataType=String"
        b"&MessageAttribute.1.Value.StringValue=v"
    )
    asked = request(content_type="application/x-www-form-urlencoded")
    assert codec.reads_form(asked)
    call = codec.match(asked, form)
    assert codec.parse(call, asked, form) == {
        "QueueUrl": "u",
        "MessageBody": "a b&c",
        "MessageAttributes": {"n": {"DataType": "String", "StringValue": "v"}},
    }
    form = b"Action=GetQueueAttributes&AttributeName.1=All&QueueUrl=u"
    call = codec.match(asked, form)
    assert codec.parse(call, asked, form)["AttributeNames"] == ["All"]
    answer = codec.serialize(
        Call("ReceiveMessage", "query"),
        {"Messages": [{"Body": "b", "Attributes": {"SentTimestamp": "1"}}]},
        "i",
    )
    assert isinstance(answer.body, bytes)
    assert (
        b"<ReceiveMessageResult><Message><Body>b</Body><Attribute><Name>SentTimestamp</Name>"
        b"<Value>1</Value></Attribute></Message></ReceiveMessageResult>"
    ) in answer.body


def test_bad_json_says_what_aws_says() -> None:
    codec = codec_of("dynamodb")
    asked = request(x_amz_target="DynamoDB_20120810.Scan")
    call = codec.match(asked)
    for body, text in {
        b'{"Limit": "x"}': "STRING_VALUE can not be converted to an Integer",
        b'{"TableName": 5}': "NUMBER_VALUE can not be converted to a String",
        b'{"TableName": true}': "TRUE_VALUE can not be converted to a String",
        b'{"TableName": []}': "Start of list found where not expected",
    }.items():
        with pytest.raises(AwsError, match=text) as caught:
            codec.parse(call, asked, body)
        assert caught.value.code == "SerializationException"
    assert codec.parse(call, asked, b'{"Limit": 3.0, "TableName": null}') == {"Limit": 3}


def test_kinesis_cbor_counts_milliseconds() -> None:
    codec = codec_of("kinesis")
    asked = request(
        x_amz_target="Kinesis_20131202.DescribeStream", content_type="application/x-amz-cbor-1.1"
    )
    call = codec.match(asked)
    assert call.protocol == "json-cbor"
    assert codec.parse(call, asked, b"\xa1\x6aStreamName\x61s") == {"StreamName": "s"}
    answer: Response = codec.serialize(
        call, {"StreamDescription": {"StreamCreationTimestamp": 1.5}}, "i"
    )
    assert isinstance(answer.body, bytes)
    assert answer.body.endswith(b"\xc1\x19\x05\xdc")


def test_inline_models_need_no_files() -> None:
    model = ServiceModel.from_dict({"metadata": {"protocol": "json"}, "operations": {}})
    assert Codec(model).model.operation_names == ()
    assert model.paginators() == {}
