"""Header lists and header injection."""

import pytest

from lambent.wire import Call
from lambent.wire.rest import split_list
from lambent.wire.values import Unparsable
from tests.wire.generate import codec_of


@pytest.mark.parametrize(
    ("text", "items"),
    [
        ("", []),
        ("a", ["a"]),
        ("a, b ,c", ["a", "b", "c"]),
        ('"b,c", "\\"def\\"", a', ["b,c", '"def"', "a"]),
        ("a,,b", ["a", "", "b"]),
    ],
)
def test_header_lists(text: str, items: list[str]) -> None:
    assert split_list(text) == items


def test_malformed_header_lists() -> None:
    with pytest.raises(Unparsable):
        split_list('"a"b')


def test_a_value_cannot_end_its_header() -> None:
    answer = codec_of("s3").serialize(
        Call("HeadObject", "rest-xml"),
        {"ContentType": "a\r\nSet-Cookie: b", "Metadata": {"k": "v\nw"}},
        "i",
    )
    assert ("Content-Type", "a Set-Cookie: b") in answer.headers
    assert ("x-amz-meta-k", "v w") in answer.headers
