"""Recordings of AWS, taken again here: uploads in parts. See `test_recordings.py`."""

import base64
import datetime
import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.recordings import Recording
from tests.servers import ThreadServer

Take = Callable[..., Recording]
Failed = Callable[..., dict[str, Any]]


def parts(*answers: Any, **more: Any) -> dict[str, Any]:
    """What CompleteMultipartUpload takes."""
    return {
        "MultipartUpload": {
            "Parts": [
                {"ETag": answer["ETag"], "PartNumber": number} | more
                for number, answer in enumerate(answers, 1)
            ]
        }
    }


def upload(plain_s3: Any, key: dict[str, str], *bodies: bytes, **created: Any) -> Any:
    """A whole upload; the answer to its completion."""
    upload_id = plain_s3.create_multipart_upload(**key, **created)["UploadId"]
    sent = [
        plain_s3.upload_part(Body=body, PartNumber=number, UploadId=upload_id, **key)
        for number, body in enumerate(bodies, 1)
    ]
    return plain_s3.complete_multipart_upload(UploadId=upload_id, **parts(*sent), **key)


def test_attributes(plain_s3: Any, s3: Any, bucket: str, recording: Take) -> None:
    r = recording("s3", "TestS3::test_get_object_attributes")
    wanted = {"ObjectAttributes": ["StorageClass", "ETag", "ObjectSize", "ObjectParts", "Checksum"]}
    without = {"ObjectAttributes": [one for one in wanted["ObjectAttributes"] if one != "Checksum"]}
    s3.put_object(Bucket=bucket, Key="data.txt", Body=b"69\n420\n")
    answer = plain_s3.get_object_attributes(Bucket=bucket, Key="data.txt", **wanted)
    r.match("object-attrs", answer)
    key = {"Bucket": bucket, "Key": "one"}
    upload(plain_s3, key, b"upload-part-1" * 5)
    r.match("object-attrs-multiparts-1-part", plain_s3.get_object_attributes(**key, **without))
    key = {"Bucket": bucket, "Key": "two"}
    upload(plain_s3, key, b"upload-part-1" * 403_300, b"upload-part-1" * 5)
    answer = plain_s3.get_object_attributes(**key, **without)
    r.match("object-attrs-multiparts-2-parts", answer)
    wanted["ObjectAttributes"].remove("ObjectParts")
    answer = plain_s3.get_object_attributes(**key, **wanted)
    r.match("object-attrs-multiparts-2-parts-checksum", answer)


def test_get_part(plain_s3: Any, s3: Any, bucket: str, recording: Take, error: Failed) -> None:
    r = recording("s3", "TestS3::test_get_object_part")
    key = {"Bucket": bucket, "Key": "test.file"}
    content = b"test content 123"
    answer = upload(plain_s3, key, content * (5 * 1024 * 1024 // len(content) + 1), content)
    r.match("multipart-upload", answer)
    r.match("head-object-part", plain_s3.head_object(PartNumber=2, **key))
    r.match("get-object-part", plain_s3.get_object(PartNumber=2, **key))
    answer = plain_s3.get_object(PartNumber=2, ChecksumMode="ENABLED", **key)
    r.match("get-object-part-with-checksum", answer)
    r.match("part-doesnt-exist", error(plain_s3.get_object, PartNumber=10, **key))
    answer = error(plain_s3.get_object, PartNumber=2, Range="bytes=0-8", **key)
    r.match("part-with-range", answer)
    key = {"Bucket": bucket, "Key": "no-multipart"}
    s3.put_object(Body=b"test-123", **key)
    r.match("get-obj-no-multipart", s3.get_object(PartNumber=1, **key))
    r.match("part-no-multipart", error(plain_s3.get_object, PartNumber=2, **key))


@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_get_part_checksum(plain_s3: Any, bucket: str, recording: Take, kind: str) -> None:
    r = recording("s3", f"TestS3::test_get_object_part_checksum[{kind}]")
    key = {"Bucket": bucket, "Key": "test-multipart-checksum"}
    made = plain_s3.create_multipart_upload(ChecksumAlgorithm="CRC32C", ChecksumType=kind, **key)
    r.match("create-mpu-checksum", made)
    of = {"UploadId": made["UploadId"], **key}
    sent = plain_s3.upload_part(
        Body=b"test content 123", PartNumber=1, ChecksumAlgorithm="CRC32C", **of
    )
    r.match("upload-part", sent)
    listed = parts(sent, ChecksumCRC32C=sent["ChecksumCRC32C"])
    r.match("complete-multipart-checksum", plain_s3.complete_multipart_upload(**listed, **of))
    asked = {"PartNumber": 1, "ChecksumMode": "ENABLED", **key}
    r.match("get-object-part", plain_s3.get_object(**asked))
    r.match("head-object-part", plain_s3.head_object(**asked))


def test_upload_and_list_parts(
    plain_s3: Any, s3: Any, bucket: str, recording: Take, error: Failed
) -> None:
    r = recording("s3", "TestS3::test_multipart_and_list_parts")
    key = {"Bucket": bucket, "Key": "test-list-parts"}
    made = plain_s3.create_multipart_upload(**key)
    r.match("create-multipart", made)
    of = {"UploadId": made["UploadId"], **key}
    r.match("list-part-after-created", plain_s3.list_parts(**of))
    r.match("list-all-uploads", plain_s3.list_multipart_uploads(Bucket=bucket))
    sent = s3.upload_part(Body=b"upload-part-1" * 5, PartNumber=1, **of)
    r.match("upload-part", sent)
    r.match("list-part-after-upload", plain_s3.list_parts(**of))
    r.match("list-all-uploads-after", plain_s3.list_multipart_uploads(Bucket=bucket))
    r.match("complete-multipart", plain_s3.complete_multipart_upload(**parts(sent), **of))
    r.match("list-part-after-complete-exc", error(plain_s3.list_parts, **of))
    r.match("list-all-uploads-completed", plain_s3.list_multipart_uploads(Bucket=bucket))
    r.match("head-multipart-checksum", plain_s3.head_object(ChecksumMode="ENABLED", **key))
    r.match("get-multipart-checksum", plain_s3.get_object(ChecksumMode="ENABLED", **key))


def test_wrong_parts(plain_s3: Any, bucket: str, recording: Take, error: Failed) -> None:
    r = recording("s3", "TestS3::test_multipart_complete_multipart_wrong_part")
    key = {"Bucket": bucket, "Key": "test-complete-wrong-part"}
    of = {"UploadId": plain_s3.create_multipart_upload(**key)["UploadId"], **key}
    sent = plain_s3.upload_part(Body=b"data", PartNumber=1, **of)
    listed = {"Parts": [{"ETag": sent["ETag"], "PartNumber": 2}]}
    answer = error(plain_s3.complete_multipart_upload, MultipartUpload=listed, **of)
    r.match("complete-exc-wrong-part-number", answer)
    etag = '"d41d8cd98f00b204e9800998ecf8427e"'
    listed = {"Parts": [{"ETag": etag, "PartNumber": 1}]}
    answer = error(plain_s3.complete_multipart_upload, MultipartUpload=listed, **of)
    r.match("complete-exc-wrong-etag", answer)


def test_other_keys(plain_s3: Any, bucket: str, recording: Take, error: Failed) -> None:
    r = recording("s3", "TestS3::test_multipart_key_validation")
    upload_id = plain_s3.create_multipart_upload(Bucket=bucket, Key="right")["UploadId"]
    sent = plain_s3.upload_part(
        Bucket=bucket, Key="right", UploadId=upload_id, PartNumber=1, Body=b"data"
    )
    wrong = {"Bucket": bucket, "Key": "wrong", "UploadId": upload_id}
    answer = error(plain_s3.upload_part, Body=b"data", PartNumber=2, **wrong)
    r.match("upload-part-wrong-key-name", answer)
    r.match("list-parts-wrong-key-name", error(plain_s3.list_parts, **wrong))
    answer = error(plain_s3.complete_multipart_upload, **parts(sent), **wrong)
    r.match("complete-multipart-wrong-key-name", answer)
    answer = error(plain_s3.abort_multipart_upload, **wrong)
    r.match("abort-multipart-wrong-key-name", answer)


def test_overwrite_and_copy(plain_s3: Any, s3: Any, bucket: str, recording: Take) -> None:
    key, content = {"Bucket": bucket, "Key": "test.file"}, b"test content 123"
    r = recording("s3", "TestS3::test_multipart_overwrite_key")
    r.match("multipart-upload", upload(plain_s3, key, content))
    r.match("put-object", s3.put_object(Body=content, **key))
    r = recording("s3", "TestS3::test_multipart_copy_object_etag")
    r.match("multipart-upload", upload(plain_s3, key, content))
    source = f"{bucket}/test.file"
    answer = plain_s3.copy_object(Bucket=bucket, Key="dest", CopySource=source)
    r.match("copy-object", answer)
    answer = plain_s3.copy_object(CopySource=source, MetadataDirective="REPLACE", **key)
    r.match("copy-object-in-place", answer)
    r.match("head-obj", plain_s3.head_object(ChecksumMode="ENABLED", **key))


def test_location(server: ThreadServer, plain_s3: Any, bucket: str, recording: Take) -> None:
    r = recording("s3", "TestS3::test_multipart_with_unicode_character_location")
    r.bindings["<bucket-url>"] = f"{server.url}/{bucket}"
    key = {"Bucket": bucket, "Key": "test-unicode_—_file"}
    made = plain_s3.create_multipart_upload(**key)
    r.match("create-multipart", made)
    of = {"UploadId": made["UploadId"], **key}
    sent = plain_s3.upload_part(Body=b"body", PartNumber=1, **of)
    answer = plain_s3.complete_multipart_upload(**parts(sent), **of)
    recorded = r.content["complete-multipart"]
    same = {name: recorded[name] for name in ("ETag", "ChecksumCRC64NVME")}
    r.match("complete-multipart", answer | same)


# --- checksums -----------------------------------------------------------------------------------


def test_full_checksum_by_default(plain_s3: Any, bucket: str, recording: Take) -> None:
    scenario = "test_complete_multipart_parts_checksum_full_object_default"
    r = recording("s3", f"TestS3MultipartUploadChecksum::{scenario}")
    key = {"Bucket": bucket, "Key": "test-multipart-checksum"}
    made = plain_s3.create_multipart_upload(ChecksumAlgorithm="CRC64NVME", **key)
    r.match("create-mpu-checksum-crc64", made)
    of = {"UploadId": made["UploadId"], **key}
    sent = plain_s3.upload_part(Body=b"aaa", PartNumber=1, ChecksumAlgorithm="CRC64NVME", **of)
    r.match("upload-part", sent)
    answer = plain_s3.complete_multipart_upload(**parts(sent), **of)
    r.match("complete-multipart-checksum", answer)
    answer = plain_s3.get_object(ChecksumMode="ENABLED", **key)
    assert answer["Body"].read() == b"aaa"
    r.match("get-object-with-checksum", answer)
    r.match("head-object-with-checksum", plain_s3.head_object(ChecksumMode="ENABLED", **key))
    wanted = {"ObjectAttributes": ["Checksum", "ETag", "ObjectParts"]}
    r.match("get-object-attrs", plain_s3.get_object_attributes(**wanted, **key))


ALGORITHMS = ("CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", ["COMPOSITE", "FULL_OBJECT"])
def test_kinds(
    plain_s3: Any, bucket: str, recording: Take, algorithm: str, kind: str, error: Failed
) -> None:
    scenario = f"test_multipart_checksum_type_compatibility[{kind}-{algorithm}]"
    r = recording("s3", f"TestS3MultipartUploadChecksum::{scenario}")
    params = {
        "Bucket": bucket,
        "Key": "test-multipart-checksum-compat",
        "ChecksumAlgorithm": algorithm,
        "ChecksumType": kind,
    }
    if "create-mpu-checksum-exc" in r.content:
        r.match("create-mpu-checksum-exc", error(plain_s3.create_multipart_upload, **params))
    else:
        r.match("create-mpu-checksum", plain_s3.create_multipart_upload(**params))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_default_kinds(plain_s3: Any, bucket: str, recording: Take, algorithm: str) -> None:
    scenario = f"test_multipart_checksum_type_default_for_checksum[{algorithm}]"
    r = recording("s3", f"TestS3MultipartUploadChecksum::{scenario}")
    answer = plain_s3.create_multipart_upload(
        Bucket=bucket, Key="test-multipart-checksum-default", ChecksumAlgorithm=algorithm
    )
    r.match("create-mpu-default-checksum-type", answer)


def crc32c(data: bytes) -> str:
    from awscrt.checksums import crc32c as crc

    return base64.b64encode(crc(data).to_bytes(4, "big")).decode()


def test_composite_exceptions(plain_s3: Any, bucket: str, recording: Take, error: Failed) -> None:
    scenario = "test_multipart_parts_checksum_exceptions_composite"
    r = recording("s3", f"TestS3MultipartUploadChecksum::{scenario}")
    key = {"Bucket": bucket, "Key": "test-multipart-checksum-exc"}
    answer = error(plain_s3.create_multipart_upload, ChecksumType="COMPOSITE", **key)
    r.match("create-mpu-no-checksum-algo-with-type", answer)
    answer = error(plain_s3.create_multipart_upload, ChecksumAlgorithm="TEST", **key)
    r.match("create-mpu-wrong-checksum-algo", answer)
    made = plain_s3.create_multipart_upload(
        ChecksumAlgorithm="CRC32", ChecksumType="COMPOSITE", **key
    )
    r.match("create-mpu-composite-checksum", made)
    of = {"UploadId": made["UploadId"], **key}
    r.match("list-multiparts", plain_s3.list_multipart_uploads(Bucket=bucket))
    sent = plain_s3.upload_part(Body=b"abc", PartNumber=1, **of)
    r.match("upload-part-no-checksum-ok", sent)
    answer = error(
        plain_s3.complete_multipart_upload, ChecksumType="FULL_OBJECT", **parts(sent), **of
    )
    r.match("complete-part-with-bad-checksum-type", answer)
    sha256 = base64.b64encode(hashlib.sha256(b"abc").digest()).decode()
    answer = error(plain_s3.complete_multipart_upload, **parts(sent, ChecksumSHA256=sha256), **of)
    r.match("complete-part-with-checksum", answer)
    made = plain_s3.create_multipart_upload(ChecksumAlgorithm="SHA256", **key)
    r.match("create-mpu-with-checksum", made)
    of = {"UploadId": made["UploadId"], **key}
    answer = error(plain_s3.upload_part, Body=b"abc", PartNumber=1, ChecksumAlgorithm="CRC32", **of)
    r.match("upload-part-different-checksum-exc", answer)


def test_full_object_exceptions(plain_s3: Any, bucket: str, recording: Take, error: Failed) -> None:
    scenario = "test_multipart_parts_checksum_exceptions_full_object"
    r = recording("s3", f"TestS3MultipartUploadChecksum::{scenario}")
    key = {"Bucket": bucket, "Key": "test-multipart-checksum-exc"}
    answer = error(plain_s3.create_multipart_upload, ChecksumType="FULL_OBJECT", **key)
    r.match("create-mpu-no-checksum-algo-with-type", answer)
    kind = {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"}
    made = plain_s3.create_multipart_upload(**kind, **key)
    r.match("create-mpu-checksum-crc32c", made)
    of = {"UploadId": made["UploadId"], **key}
    r.match("list-multiparts", plain_s3.list_multipart_uploads(Bucket=bucket))
    sent = plain_s3.upload_part(Body=b"abc", PartNumber=1, **of)
    r.match("upload-part-no-checksum-ok", sent)
    full, good, bad = {"ChecksumType": "FULL_OBJECT"}, crc32c(b"abc"), crc32c(b"abcdef")
    for name, more in (
        ("bad-checksum-type", {"ChecksumType": "COMPOSITE"}),
        ("bad-checksum", {"ChecksumCRC32C": bad, **full}),
        ("bad-checksum-algo", {"ChecksumCRC32": bad, **full}),
        ("good-checksum-no-type", {"ChecksumCRC32C": good}),
        ("only-checksum-algo", {"ChecksumCRC32C": bad}),
        ("only-checksum-algo-diff", {"ChecksumCRC32": bad}),
    ):
        answer = error(plain_s3.complete_multipart_upload, **more, **parts(sent), **of)
        r.match(f"complete-part-{name}", answer)
    answer = plain_s3.complete_multipart_upload(ChecksumCRC32C=good, **full, **parts(sent), **of)
    r.match("complete-success", answer)
    made = plain_s3.create_multipart_upload(**kind, **key)
    r.match("create-mpu-with-checksum", made)
    of = {"UploadId": made["UploadId"], **key}
    answer = error(plain_s3.upload_part, Body=b"abc", PartNumber=1, ChecksumAlgorithm="CRC32", **of)
    r.match("upload-part-different-checksum-exc", answer)


def test_size(plain_s3: Any, s3: Any, bucket: str, recording: Take, error: Failed) -> None:
    r = recording("s3", "TestS3MultipartUploadChecksum::test_multipart_size_validation")
    key = {"Bucket": bucket, "Key": "test-multipart-size"}
    made = plain_s3.create_multipart_upload(**key)
    r.match("create-mpu", made)
    of = {"UploadId": made["UploadId"], **key}
    sent = s3.upload_part(Body=b"aaaa", PartNumber=1, **of)
    r.match("upload-part", sent)
    answer = error(plain_s3.complete_multipart_upload, MpuObjectSize=5, **parts(sent), **of)
    r.match("complete-multipart-wrong-size", answer)
    answer = plain_s3.complete_multipart_upload(MpuObjectSize=4, **parts(sent), **of)
    r.match("complete-multipart-good-size", answer)
    answer = plain_s3.get_object_attributes(ObjectAttributes=["Checksum", "ETag"], **key)
    r.match("get-object-attrs", answer)


# --- copies into parts ---------------------------------------------------------------------------


def test_part_copies(plain_s3: Any, s3: Any, bucket: str, recording: Take, error: Failed) -> None:
    source = {"CopySource": f"{bucket}/source"}
    put = s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    r = recording("s3_api", "TestS3Multipart::test_upload_part_copy_range")
    r.match("put-src-object", put)
    key = {"Bucket": bucket, "Key": "test-upload-part-copy"}
    made = plain_s3.create_multipart_upload(**key)
    r.match("create-multipart", made)
    of = {"UploadId": made["UploadId"], **key, **source}
    for number, asked in enumerate(("0-8", "1-1", "0-0"), 1):
        answer = plain_s3.upload_part_copy(
            PartNumber=number, CopySourceRange=f"bytes={asked}", **of
        )
        r.match(f"upload-part-copy-{number}", answer)
    for name in list(r.content):
        if name.startswith("upload-part-copy-range-exc-"):
            asked = name.removeprefix("upload-part-copy-range-exc-")
            header = f"bytes={asked}"
            answer = error(plain_s3.upload_part_copy, PartNumber=1, CopySourceRange=header, **of)
            r.match(name, answer)
    answer = error(plain_s3.upload_part_copy, PartNumber=1, CopySourceRange="0-8", **of)
    r.match("upload-part-copy-wrong-format", answer)
    r.match("list-parts", plain_s3.list_parts(UploadId=made["UploadId"], **key))
    r = recording("s3_api", "TestS3Multipart::test_upload_part_copy_no_copy_source_range")
    r.match("put-src-object", put)
    made = plain_s3.create_multipart_upload(**key)
    r.match("create-multipart", made)
    of = {"UploadId": made["UploadId"], **key}
    r.match("upload-part-copy", plain_s3.upload_part_copy(PartNumber=1, **of, **source))
    r.match("list-parts", plain_s3.list_parts(**of))


DAY = datetime.timedelta(days=1)

CONDITIONS: dict[str, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    "copy_source_if_match_failed": (
        "upload-part-copy-source-if-match",
        lambda head: {"IfMatch": "wrong"},
    ),
    "copy_source_if_match_none_success": (
        "upload-part-copy-if-none-match",
        lambda head: {"IfNoneMatch": "none"},
    ),
    "copy_source_if_modified_since_in_future_success": (
        "upload-part-copy-if-modified-since-in-future",
        lambda head: {"IfModifiedSince": head["LastModified"] + DAY},
    ),
    "copy_source_if_none_match_and_if_unmodified_since_match_failed": (
        "upload-part-copy-source-unmodified-since-and-if-none-match",
        lambda head: {
            "IfNoneMatch": head["ETag"],
            "IfUnmodifiedSince": head["LastModified"] - DAY,
        },
    ),
    "copy_source_if_none_match_failed": (
        "upload-part-copy-source-if-none-match",
        lambda head: {"IfNoneMatch": head["ETag"]},
    ),
    "copy_source_if_unmodified_since_success": (
        "upload-part-copy-if-unmodified-since",
        lambda head: {"IfUnmodifiedSince": head["LastModified"] + DAY},
    ),
    "if_modified_since_failed": (
        "upload-part-copy-source-modified-since-match",
        lambda head: {"IfModifiedSince": head["LastModified"]},
    ),
}


@pytest.mark.parametrize("scenario", CONDITIONS)
def test_part_copy_conditions(
    plain_s3: Any, bucket: str, recording: Take, scenario: str, error: Failed
) -> None:
    r = recording("s3_api", f"TestS3Multipart::test_upload_part_copy_with_{scenario}")
    name, made_of = CONDITIONS[scenario]
    plain_s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    head = plain_s3.head_object(Bucket=bucket, Key="source")
    key = {"Bucket": bucket, "Key": "destination_file.txt"}
    of = {"UploadId": plain_s3.create_multipart_upload(**key)["UploadId"], **key}
    params = {f"CopySource{one}": value for one, value in made_of(head).items()}
    params |= {"CopySource": f"{bucket}/source", "PartNumber": 1, **of}
    if "Error" in r.content[name]:
        r.match(name, error(plain_s3.upload_part_copy, **params))
    else:
        r.match(name, plain_s3.upload_part_copy(**params))
        r.match("list-parts", plain_s3.list_parts(**of))


# --- conditional completion ----------------------------------------------------------------------


def begun(plain_s3: Any, key: dict[str, str]) -> tuple[Any, dict[str, Any]]:
    """(the answer to CreateMultipartUpload, what completes it)."""
    made = plain_s3.create_multipart_upload(**key)
    of = {"UploadId": made["UploadId"], **key}
    sent = plain_s3.upload_part(Body=b"test", PartNumber=1, **of)
    return made, parts(sent) | of


@pytest.fixture
def key(bucket: str) -> dict[str, str]:
    return {"Bucket": bucket, "Key": "test-precondition"}


def conditional(recording: Take, scenario: str) -> Recording:
    return recording("s3_api", f"TestS3ObjectWritePrecondition::{scenario}")


def test_if_none_match_with_put(
    plain_s3: Any, s3: Any, key: Any, recording: Take, error: Failed
) -> None:
    r = conditional(recording, "test_multipart_if_none_match_with_put")
    made, done = begun(plain_s3, key)
    r.match("create-multipart", made)
    r.match("put-obj", s3.put_object(**key))
    answer = error(plain_s3.complete_multipart_upload, IfNoneMatch="*", **done)
    r.match("complete-multipart-if-none-match-put-during", answer)


def test_if_none_match_with_delete(
    plain_s3: Any, s3: Any, key: Any, recording: Take, error: Failed
) -> None:
    r = conditional(recording, "test_multipart_if_none_match_with_delete")
    put = s3.put_object(**key)
    made, done = begun(plain_s3, key)
    for name in list(r.content):
        if name.startswith("put-obj"):
            r.match(name, put)
        elif name.startswith("create-multipart") and "restart" not in name:
            r.match(name, made)
    answer = error(plain_s3.complete_multipart_upload, IfNoneMatch="*", **done)
    r.match("complete-multipart-if-none-match", answer)
    r.match("del-obj", plain_s3.delete_object(**key))
    answer = error(plain_s3.complete_multipart_upload, IfNoneMatch="*", **done)
    r.match("complete-multipart-after-del", answer)
    made, done = begun(plain_s3, key)
    for name in list(r.content):
        if name.startswith("create-multipart") and "restart" in name:
            r.match(name, made)
    answer = plain_s3.complete_multipart_upload(IfNoneMatch="*", **done)
    r.match("complete-multipart-after-del-restart", answer)


def test_if_match_with_put(
    plain_s3: Any, s3: Any, key: Any, recording: Take, error: Failed
) -> None:
    r = conditional(recording, "test_multipart_if_match_with_put")
    put = s3.put_object(Body=b"test", **key)
    r.match("put-obj", put)
    made, done = begun(plain_s3, key)
    r.match("create-multipart", made)
    during = s3.put_object(Body=b"test2", **key)
    recorded = r.content["put-obj-during"]
    r.match("put-obj-during", during | {"ChecksumCRC32": recorded["ChecksumCRC32"]})
    answer = error(plain_s3.complete_multipart_upload, IfMatch=put["ETag"], **done)
    r.match("complete-multipart-if-match-put-before", answer)
    answer = error(plain_s3.complete_multipart_upload, IfMatch=during["ETag"], **done)
    r.match("complete-multipart-if-match-put-during", answer)
    made, done = begun(plain_s3, key)
    r.match("create-multipart-again", made)
    answer = plain_s3.complete_multipart_upload(IfMatch=during["ETag"], **done)
    r.match("complete-multipart-if-match-put-before-restart", answer)


def test_if_match_with_identical_put(
    plain_s3: Any, s3: Any, key: Any, recording: Take, error: Failed
) -> None:
    r = conditional(recording, "test_multipart_if_match_with_put_identical")
    put = s3.put_object(Body=b"test", **key)
    r.match("put-obj", put)
    made, done = begun(plain_s3, key)
    r.match("create-multipart", made)
    r.match("put-obj-during", s3.put_object(Body=b"test", **key))
    answer = error(plain_s3.complete_multipart_upload, IfMatch=put["ETag"], **done)
    r.match("complete-multipart-if-match-put-during", answer)
    made, done = begun(plain_s3, key)
    r.match("create-multipart-again", made)
    answer = plain_s3.complete_multipart_upload(IfMatch=put["ETag"], **done)
    r.match("complete-multipart-if-match-put-before-restart", answer)


def test_if_match_with_delete(
    plain_s3: Any, s3: Any, key: Any, recording: Take, error: Failed
) -> None:
    r = conditional(recording, "test_multipart_if_match_with_delete")
    put = s3.put_object(Body=b"test", **key)
    r.match("put-obj", put)
    made, done = begun(plain_s3, key)
    r.match("create-multipart", made)
    r.match("del-obj", plain_s3.delete_object(**key))
    answer = error(plain_s3.complete_multipart_upload, IfMatch=put["ETag"], **done)
    r.match("complete-multipart-after-del", answer)
    r.match("put-obj-2", s3.put_object(Body=b"test", **key))
    answer = error(plain_s3.complete_multipart_upload, IfMatch=put["ETag"], **done)
    r.match("complete-multipart-if-match-after-put", answer)


def test_if_match_etag_of_parts(
    plain_s3: Any, s3: Any, key: Any, recording: Take, error: Failed
) -> None:
    r = conditional(recording, "test_multipart_if_match_etag")
    put = s3.put_object(Body=b"test", **key)
    r.match("put-obj", put)
    made, done = begun(plain_s3, key)
    r.match("create-multipart", made)
    answer = plain_s3.complete_multipart_upload(IfMatch=put["ETag"], **done)
    r.match("complete-multipart-if-match", answer)
    made, done = begun(plain_s3, key)
    r.match("create-multipart-overwrite", made)
    bad = error(plain_s3.complete_multipart_upload, IfMatch=put["ETag"], **done)
    r.match("complete-multipart-if-match-true-etag", bad)
    again = plain_s3.complete_multipart_upload(IfMatch=answer["ETag"], **done)
    r.match("complete-multipart-if-match-overwrite-multipart", again)


# --- listings ------------------------------------------------------------------------------------


def test_list_uploads(plain_s3: Any, bucket: str, recording: Take) -> None:
    scenario = "TestS3ListMultipartUploads::test_list_multiparts_with_prefix_and_delimiter"
    r = recording("s3_list_operations", scenario)
    for key in ("test/foo/bar/123", "test/foo/bar/456", "test/bar/foo/123"):
        plain_s3.create_multipart_upload(Bucket=bucket, Key=key)
    for number, prefix in ((1, "test/"), (2, "test/foo/"), (3, "test/foo/bar")):
        answer = plain_s3.list_multipart_uploads(
            Bucket=bucket, Prefix=prefix, Delimiter="/", EncodingType="url"
        )
        r.match(f"list-multiparts-{number}", answer)
    r.skip("list-multiparts-no-encoding", "an XML body; the members are those of the others")


def test_list_parts_pages(plain_s3: Any, bucket: str, recording: Take) -> None:
    r = recording("s3_list_operations", "TestS3ListParts::test_list_parts_pagination")
    key = {"Bucket": bucket, "Key": "test-list-part-pagination"}
    of = {"UploadId": plain_s3.create_multipart_upload(**key)["UploadId"], **key}
    r.match("list-parts-empty", plain_s3.list_parts(**of))
    for number in (1, 2):
        plain_s3.upload_part(PartNumber=number, Body=b"data", **of)
    r.match("list-parts-all", plain_s3.list_parts(**of))
    first = plain_s3.list_parts(MaxParts=1, **of)
    r.match("list-parts-1", first)
    answer = plain_s3.list_parts(MaxParts=1, PartNumberMarker=first["NextPartNumberMarker"], **of)
    r.match("list-parts-next", answer)
    answer = plain_s3.list_parts(MaxParts=1, PartNumberMarker=10, **of)
    r.match("list-parts-wrong-part", answer)
