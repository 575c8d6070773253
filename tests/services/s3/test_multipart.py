"""Uploads in parts beyond the recordings."""

import base64
import hashlib
from typing import Any

import pytest

PART = 5 * 1024 * 1024


def test_the_whole_of_many_parts(s3: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "k"}
    made = s3.create_multipart_upload(
        ContentType="text/plain", Metadata={"m": "1"}, StorageClass="STANDARD_IA", **key
    )
    of = {"UploadId": made["UploadId"], **key}
    bodies = {2: b"b" * PART, 5: b"c" * (PART + 1), 10_000: b"tail"}
    listed = []
    for number, body in reversed(bodies.items()):
        sent = s3.upload_part(PartNumber=number, Body=body, **of)
        listed.insert(0, {"PartNumber": number, "ETag": sent["ETag"]})
    s3.upload_part(PartNumber=7, Body=b"left out", **of)
    answer = s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **of)
    digests = b"".join(hashlib.md5(body).digest() for body in bodies.values())
    assert answer["ETag"] == f'"{hashlib.md5(digests).hexdigest()}-3"'
    got = s3.get_object(ChecksumMode="ENABLED", **key)
    assert got["Body"].read() == b"".join(bodies.values())
    assert (got["ContentType"], got["Metadata"]) == ("text/plain", {"m": "1"})
    assert got["StorageClass"] == "STANDARD_IA"
    assert got["ChecksumCRC64NVME"] == answer["ChecksumCRC64NVME"]
    again = s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **of)
    assert again["ETag"] == answer["ETag"]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_a_composite_checksum(s3: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "k"}
    of = {
        "UploadId": s3.create_multipart_upload(ChecksumAlgorithm="SHA256", **key)["UploadId"],
        **key,
    }
    bodies = [b"a" * PART, b"b"]
    listed = []
    for number, body in enumerate(bodies, 1):
        sent = s3.upload_part(PartNumber=number, Body=body, ChecksumAlgorithm="SHA256", **of)
        one = {name: sent[name] for name in ("ETag", "ChecksumSHA256")}
        listed.append(one | {"PartNumber": number})
    shown = s3.list_parts(**of)
    assert shown["ChecksumType"] == "COMPOSITE"
    assert [one["ChecksumSHA256"] for one in shown["Parts"]] == [
        one["ChecksumSHA256"] for one in listed
    ]
    answer = s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **of)
    digests = b"".join(hashlib.sha256(body).digest() for body in bodies)
    expected = base64.b64encode(hashlib.sha256(digests).digest()).decode() + "-2"
    assert answer["ChecksumSHA256"] == expected
    attributes = s3.get_object_attributes(ObjectAttributes=["ObjectParts"], MaxParts=1, **key)
    shown = attributes["ObjectParts"]
    assert (shown["TotalPartsCount"], shown["IsTruncated"]) == (2, True)
    assert shown["Parts"][0]["ChecksumSHA256"] == listed[0]["ChecksumSHA256"]


@pytest.fixture
def begun(s3: Any, bucket: str) -> dict[str, str]:
    """An upload that has begun: what names it."""
    key = {"Bucket": bucket, "Key": "k"}
    return {"UploadId": s3.create_multipart_upload(**key)["UploadId"], **key}


def test_refused_completions(s3: Any, begun: Any, error: Any) -> None:
    sent = [s3.upload_part(PartNumber=n, Body=b"small", **begun)["ETag"] for n in (1, 2)]
    entries = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(sent, 1)]

    def complete(*parts: Any) -> Any:
        listed = {"Parts": list(parts)}
        return error(s3.complete_multipart_upload, MultipartUpload=listed, **begun)["Error"]

    refused = complete(*entries)
    assert refused["Code"] == "EntityTooSmall"
    assert refused["MinSizeAllowed"] == "5242880"
    assert (refused["PartNumber"], refused["ProposedSize"]) == ("1", "5")
    assert complete(*reversed(entries))["Code"] == "InvalidPartOrder"
    assert complete(entries[0], entries[0])["Code"] == "InvalidPartOrder"
    assert complete()["Code"] == "MalformedXML"
    s3.complete_multipart_upload(MultipartUpload={"Parts": entries[:1]}, **begun)


def test_part_numbers(s3: Any, begun: Any, error: Any) -> None:
    for number in (0, 10_001):
        answer = error(s3.upload_part, PartNumber=number, Body=b"x", **begun)
        assert answer["Error"]["Code"] == "InvalidArgument"
        assert answer["Error"]["Message"] == (
            "Part number must be an integer between 1 and 10000, inclusive"
        )


def test_abort(s3: Any, begun: Any, error: Any) -> None:
    s3.upload_part(PartNumber=1, Body=b"x" * 100_000, **begun)
    assert s3.abort_multipart_upload(**begun)["ResponseMetadata"]["HTTPStatusCode"] == 204
    for call, more in (
        (s3.abort_multipart_upload, {}),
        (s3.list_parts, {}),
        (s3.upload_part, {"PartNumber": 1, "Body": b"x"}),
    ):
        assert error(call, **more, **begun)["Error"]["Code"] == "NoSuchUpload"


def test_parts_are_replaced(s3: Any, begun: Any) -> None:
    s3.upload_part(PartNumber=1, Body=b"old", **begun)
    etag = s3.upload_part(PartNumber=1, Body=b"new", **begun)["ETag"]
    assert len(s3.list_parts(**begun)["Parts"]) == 1
    listed = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(MultipartUpload=listed, **begun)
    key = {name: begun[name] for name in ("Bucket", "Key")}
    assert s3.get_object(**key)["Body"].read() == b"new"
