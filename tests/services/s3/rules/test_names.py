"""Bucket names, regions, copy sources."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.services.s3.rules import names


@pytest.mark.parametrize("name", ["abc", "a.b", "my-bucket.example.com", "0a0", "a" * 63, "a--b"])
def test_good_names(name: str) -> None:
    names.check_bucket(name)


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "UPPER", "under_score", "-abc", "abc-", ".abc", "abc.", "a..b", "a.-b", "a-.b",
     "192.168.5.4", "xn--abc", "sthree-abc", "abc-s3alias", "abc--ol-s3", "abc.mrap", "abc--x-s3",
     "äbc", "abc\n"],
)  # fmt: skip
def test_bad_names(name: str) -> None:
    with pytest.raises(AwsError) as error:
        names.check_bucket(name)
    assert error.value.fields == {"BucketName": name}


@pytest.mark.parametrize(
    ("constraint", "endpoint", "expected"),
    [
        (None, "us-east-1", "us-east-1"),
        ("eu-west-1", "us-east-1", "eu-west-1"),
        ("EU", "us-east-1", "eu-west-1"),
        ("EU", "eu-west-1", "eu-west-1"),
        ("eu-west-1", "eu-west-1", "eu-west-1"),
        ("us-east-1", "us-east-1", "InvalidLocationConstraint"),
        ("nowhere", "us-east-1", "InvalidLocationConstraint"),
        (None, "eu-west-1", "IllegalLocationConstraintException"),
        ("us-east-2", "eu-west-1", "IllegalLocationConstraintException"),
        ("EU", "us-east-2", "IllegalLocationConstraintException"),
        ("us-east-1", "us-west-1", "IllegalLocationConstraintException"),
    ],
)
def test_regions(constraint: str | None, endpoint: str, expected: str) -> None:
    if expected.endswith(("Constraint", "Exception")):
        with pytest.raises(AwsError) as error:
            names.bucket_region(constraint, endpoint)
        assert error.value.code == expected
    else:
        assert names.bucket_region(constraint, endpoint) == expected


def test_keys_have_at_most_1024_bytes() -> None:
    names.check_key("k" * 1024)
    names.check_key("é" * 512)
    for key in ("k" * 1025, "é" * 513):
        with pytest.raises(AwsError) as error:
            names.check_key(key)
        assert error.value.fields == {"MaxSizeAllowed": 1024, "Size": len(key.encode())}


def test_copy_sources() -> None:
    assert names.copy_source("/b/k%20%2B/x") == ("b", "k +/x", None)
    assert names.copy_source("b/k?versionId=v1") == ("b", "k", "v1")
    for header in ("b", "b/", "/b", ""):
        with pytest.raises(AwsError, match="Invalid copy source"):
            names.copy_source(header)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_url_encoding_is_undone_by_botocore(key: str) -> None:
    from botocore.compat import unquote_str

    assert unquote_str(names.url_encoded(key)) == key
    assert names.url_encoded(key).isascii()
