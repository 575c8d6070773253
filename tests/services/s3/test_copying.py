"""Copies beyond the recordings."""

import hashlib
from typing import Any

import pytest


def test_nothing_to_change(s3: Any, bucket: str, error: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    source = {"Bucket": bucket, "Key": "k", "CopySource": f"{bucket}/k"}
    answer = error(s3.copy_object, **source)
    assert answer["Error"]["Code"] == "InvalidRequest"
    assert answer["Error"]["Message"].startswith("This copy request is illegal")
    s3.copy_object(StorageClass="STANDARD_IA", **source)
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "STANDARD_IA"


@pytest.mark.parametrize("key", ["a b+c", "ü/é?x=1", "%41", "k&<>\"'"])
def test_sources_are_decoded(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=b"source", Metadata={"m": "1"})
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": key})
    answer = s3.get_object(Bucket=bucket, Key="copy")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"source", {"m": "1"})


def test_sources_that_are_none(s3: Any, bucket: str, error: Any) -> None:
    for source, code in (
        (f"{bucket}/none", "NoSuchKey"),
        ("no-such-bucket-at-all/k", "NoSuchBucket"),
        (f"{bucket}/none?versionId=abc", "InvalidArgument"),
    ):
        answer = error(s3.copy_object, Bucket=bucket, Key="k", CopySource=source)
        assert answer["Error"]["Code"] == code
    directive = {"Bucket": bucket, "Key": "k", "CopySource": f"{bucket}/none"}
    answer = error(s3.copy_object, MetadataDirective="FAKE", **directive)
    assert answer["Error"]["Message"] == "Unknown metadata directive."


def test_a_copy_outlives_its_source(s3: Any, bucket: str) -> None:
    for key, size in (("small", 10), ("large", 3_000_000)):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * size)
        s3.copy_object(Bucket=bucket, Key=f"{key}-copy", CopySource=f"{bucket}/{key}")
        s3.delete_object(Bucket=bucket, Key=key)
        answer = s3.get_object(Bucket=bucket, Key=f"{key}-copy")
        assert answer["Body"].read() == b"x" * size


def test_another_checksum(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumAlgorithm="CRC32")
    answer = s3.copy_object(
        Bucket=bucket, Key="c", CopySource=f"{bucket}/k", ChecksumAlgorithm="SHA256"
    )["CopyObjectResult"]
    assert "ChecksumCRC32" not in answer
    assert answer["ChecksumType"] == "FULL_OBJECT"
    assert answer["ETag"] == f'"{hashlib.md5(b"data").hexdigest()}"'
    got = s3.get_object(Bucket=bucket, Key="c", ChecksumMode="ENABLED")
    assert got["ChecksumSHA256"] == answer["ChecksumSHA256"]
