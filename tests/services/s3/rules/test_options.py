"""What is not honoured is refused by its header."""

import pytest

from lambent.base.errors import AwsError
from lambent.services.s3 import SERVICE
from lambent.services.s3.rules import options


@pytest.mark.parametrize(
    ("request_", "header"),
    [
        ({"ACL": "public-read"}, "x-amz-acl"),
        ({"ServerSideEncryption": "aws:kms"}, "x-amz-server-side-encryption"),
        ({"Tagging": "a=b"}, "x-amz-tagging"),
        ({"ObjectLockMode": "GOVERNANCE"}, "x-amz-object-lock-mode"),
        ({"WebsiteRedirectLocation": "/x"}, "x-amz-website-redirect-location"),
        ({"GrantRead": "id=1"}, "x-amz-grant-read"),
        ({"BucketKeyEnabled": True}, "x-amz-server-side-encryption-bucket-key-enabled"),
    ],
)
def test_refused(request_: dict[str, object], header: str) -> None:
    with pytest.raises(AwsError) as error:
        options.refuse(request_)
    assert (error.value.code, error.value.status) == ("NotImplemented", 501)
    assert error.value.fields == {"Header": header}


def test_what_says_what_is_so_anyway_is_taken() -> None:
    options.refuse(
        {
            "ACL": "bucket-owner-full-control",
            "ServerSideEncryption": "AES256",
            "BucketKeyEnabled": False,
            "ObjectOwnership": "BucketOwnerEnforced",
            "RequestPayer": "requester",
        }
    )


def test_an_acl_that_s3_does_not_know() -> None:
    with pytest.raises(AwsError) as error:
        options.refuse({"ACL": "fake-acl"})
    assert error.value.code == "InvalidArgument"
    assert error.value.message is None


def test_storage_classes() -> None:
    assert options.storage_class({}) == "STANDARD"
    assert options.storage_class({"StorageClass": "GLACIER_IR"}) == "GLACIER_IR"
    with pytest.raises(AwsError) as error:
        options.storage_class({"StorageClass": "OUTPOSTS"})
    assert error.value.fields == {"StorageClassRequested": "OUTPOSTS"}


def test_versions() -> None:
    options.check_version({})
    options.check_version({"VersionId": "null"})
    with pytest.raises(AwsError, match="Invalid version id"):
        options.check_version({"VersionId": "v"})


def test_every_input_member_is_honoured_or_refused() -> None:
    """A member that botocore's next model brings must not slip through unseen."""
    honoured = options.NAMES | HONOURED
    for name in SERVICE.operations:
        shape = SERVICE.model.operation(name).input_shape
        members = set(shape.members) if shape else set()
        unknown = {m for m in members - honoured if not m.startswith("Checksum")}
        assert not unknown, f"{name}: {sorted(unknown)}"


HONOURED = {
    "Body", "Bucket", "BucketRegion", "BypassGovernanceRetention", "CacheControl",
    "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentLength", "ContentMD5",
    "ContentType", "ContinuationToken", "CopySource", "CopySourceIfMatch",
    "CopySourceIfModifiedSince", "CopySourceIfNoneMatch", "CopySourceIfUnmodifiedSince",
    "CopySourceRange", "CreateBucketConfiguration", "Delete", "Delimiter", "EncodingType",
    "ExpectedBucketOwner", "ExpectedSourceBucketOwner", "Expires", "FetchOwner", "IfMatch",
    "IfModifiedSince", "IfNoneMatch", "IfUnmodifiedSince", "Key", "KeyMarker", "Marker",
    "MaxBuckets", "MaxKeys", "MaxParts", "MaxUploads", "Metadata", "MetadataDirective",
    "MpuObjectSize", "MultipartUpload", "ObjectAttributes", "OptionalObjectAttributes",
    "PartNumber", "PartNumberMarker", "Prefix", "Range", "RequestPayer", "ResponseCacheControl",
    "ResponseContentDisposition", "ResponseContentEncoding", "ResponseContentLanguage",
    "ResponseContentType", "ResponseExpires", "StartAfter", "StorageClass", "TaggingDirective",
    "UploadId", "UploadIdMarker", "VersionId",
}  # fmt: skip
