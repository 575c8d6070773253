"""The precedence of conditional headers, as RFC 9110 and S3's guide tell it."""

from typing import Any

import pytest

from lambent.base.errors import AwsError
from lambent.services.s3.rules.preconditions import (
    Tag,
    check_copy,
    check_read,
    check_write,
    check_write_headers,
)

TAG = Tag('"abc"', 1000.7)
NOW_S = 5000.0


def outcome(request: dict[str, Any]) -> str:
    try:
        check_read(request, TAG, NOW_S)
    except AwsError as error:
        return str(error.fields.get("Condition", error.status))
    return ""


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        ({}, ""),
        ({"IfMatch": '"abc"'}, ""),
        ({"IfMatch": "abc"}, ""),
        ({"IfMatch": "*"}, ""),
        ({"IfMatch": '"x", "abc"'}, ""),
        ({"IfMatch": "x"}, "If-Match"),
        ({"IfMatch": "abc", "IfUnmodifiedSince": 10}, ""),
        ({"IfUnmodifiedSince": 999}, "If-Unmodified-Since"),
        ({"IfUnmodifiedSince": 1000}, ""),
        ({"IfNoneMatch": "abc"}, "304"),
        ({"IfNoneMatch": "x"}, ""),
        ({"IfNoneMatch": "x", "IfModifiedSince": 2000}, ""),
        ({"IfNoneMatch": "abc", "IfModifiedSince": 10}, "304"),
        ({"IfModifiedSince": 1000}, "304"),
        ({"IfModifiedSince": 999}, ""),
        ({"IfModifiedSince": 9000}, ""),
        ({"IfUnmodifiedSince": 10, "IfNoneMatch": "abc"}, "If-Unmodified-Since"),
    ],
)
def test_reads(request_: dict[str, Any], expected: str) -> None:
    assert outcome(request_) == expected


def test_copies_answer_412_for_what_reads_answer_304() -> None:
    for member, header in (
        ("IfMatch", "x-amz-copy-source-If-Match"),
        ("IfNoneMatch", "x-amz-copy-source-If-None-Match"),
    ):
        value = "x" if member == "IfMatch" else "abc"
        with pytest.raises(AwsError) as error:
            check_copy({f"CopySource{member}": value}, TAG, NOW_S)
        assert (error.value.status, error.value.fields) == (412, {"Condition": header})


def test_writes() -> None:
    assert not check_write_headers({})
    assert check_write_headers({"IfNoneMatch": "*"})
    assert check_write_headers({"IfMatch": "abc"})
    for request in ({"IfNoneMatch": "abc"}, {"IfMatch": "*"}, {"IfMatch": "a", "IfNoneMatch": "*"}):
        with pytest.raises(AwsError) as error:
            check_write_headers(request)
        assert (error.value.code, error.value.status) == ("NotImplemented", 501)
    check_write({"IfNoneMatch": "*"}, "k", None)
    check_write({"IfMatch": '"abc"'}, "k", TAG)
    for write, tag, code in (
        ({"IfNoneMatch": "*"}, TAG, "PreconditionFailed"),
        ({"IfMatch": "x"}, TAG, "PreconditionFailed"),
        ({"IfMatch": "x"}, None, "NoSuchKey"),
    ):
        with pytest.raises(AwsError) as error:
            check_write(write, "k", tag)
        assert error.value.code == code
