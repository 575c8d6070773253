"""Both lanes of the JSON reader agree, and hostile documents are refused."""

import msgspec
import pytest

from lambent.base.errors import AwsError
from lambent.net import BytesBody, Request
from lambent.wire import Call
from lambent.wire.json import check_depth, decode
from lambent.wire.values import Unparsable
from tests.wire.generate import codec_of

CALL = Call("PutItem", "json")
REQUEST = Request("POST", "/", "", {}, BytesBody())


def nested(levels: int) -> bytes:
    return b'{"Item":{"a":' + b'{"M":{"a":' * levels + b'{"S":"x"}' + b"}}" * levels + b"}}"


def test_lanes_agree() -> None:
    codec = codec_of("dynamodb")
    fast = b'{"TableName":"t","Item":{"a":{"B":"YWI="},"b":{"L":[{"N":"1"}]}},"Unknown":[1]}'
    slow = fast.replace(b'"Unknown"', b'"ConditionExpression":null,"Unknown"')
    assert codec.parse(CALL, REQUEST, fast) == codec.parse(CALL, REQUEST, slow)
    assert codec.parse(CALL, REQUEST, b"") == {}
    assert codec.parse(CALL, REQUEST, b"null") == {}


def test_dynamodb_s_depth_is_allowed_and_hostile_depth_is_not() -> None:
    codec = codec_of("dynamodb")
    assert codec.parse(CALL, REQUEST, nested(32))
    for levels in (100, 400, 100_000):
        with pytest.raises(AwsError) as caught:
            codec.parse(CALL, REQUEST, nested(levels))
        assert caught.value.code == "SerializationException"


@pytest.mark.parametrize(
    "data", [b"{", b"[1,]", b"\xff", b"NaN", b"{}x", b"[" * 100_000, b'"\\ud800"']
)
def test_malformed_documents(data: bytes) -> None:
    with pytest.raises(Unparsable):
        decode(data)


def test_depth_is_counted_without_recursion() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(Unparsable):
        check_depth(value)
    while value:  # take it apart: freeing it recursively is the interpreter's business
        value = value.pop()  # type: ignore[assignment]


def test_raw_values_are_copied() -> None:
    codec = codec_of("dynamodb")
    raw = msgspec.Raw(b'{"a":{"S":"x"}}')
    answer = codec.serialize(Call("GetItem", "json"), {"Item": raw}, "i")
    assert answer.body == b'{"Item":{"a":{"S":"x"}}}'
