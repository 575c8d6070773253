"""What a request may ask for that is not honoured here: refused by name, never ignored.

Each entry gives the header and the values that are honoured because they say what is the case
anyway. What S3 words differently for a value that it does not know either is at the bottom.
"""

from collections.abc import Mapping
from typing import Any

from lambent.base.errors import AwsError
from lambent.services.s3.errors import invalid_argument, not_implemented

_LOCK = "x-amz-object-lock-"
_SSE = "x-amz-server-side-encryption"
_NONE: frozenset[Any] = frozenset()

_HONOURED: dict[str, tuple[str, frozenset[Any]]] = {
    "ACL": ("x-amz-acl", frozenset({"private", "bucket-owner-full-control"})),
    "AnnotationDirective": ("x-amz-object-annotation-directive", _NONE),
    "BucketKeyEnabled": (f"{_SSE}-bucket-key-enabled", frozenset({False})),
    "CopySourceSSECustomerAlgorithm": (
        "x-amz-copy-source-server-side-encryption-customer-algorithm",
        _NONE,
    ),
    "CopySourceSSECustomerKeyMD5": (
        "x-amz-copy-source-server-side-encryption-customer-key-MD5",
        _NONE,
    ),
    "CopySourceSSECustomerKey": ("x-amz-copy-source-server-side-encryption-customer-key", _NONE),
    "GrantFullControl": ("x-amz-grant-full-control", _NONE),
    "GrantRead": ("x-amz-grant-read", _NONE),
    "GrantReadACP": ("x-amz-grant-read-acp", _NONE),
    "GrantWrite": ("x-amz-grant-write", _NONE),
    "GrantWriteACP": ("x-amz-grant-write-acp", _NONE),
    "IfMatchInitiatedTime": ("x-amz-if-match-initiated-time", _NONE),
    "IfMatchLastModifiedTime": ("x-amz-if-match-last-modified-time", _NONE),
    "IfMatchSize": ("x-amz-if-match-size", _NONE),
    "MFA": ("x-amz-mfa", _NONE),
    "ObjectLockEnabledForBucket": ("x-amz-bucket-object-lock-enabled", frozenset({False})),
    "ObjectLockEventHold": (f"{_LOCK}event-hold", _NONE),
    "ObjectLockEventHoldDurationDays": (f"{_LOCK}event-hold-duration-days", _NONE),
    "ObjectLockEventHoldDurationYears": (f"{_LOCK}event-hold-duration-years", _NONE),
    "ObjectLockLegalHoldStatus": (f"{_LOCK}legal-hold", _NONE),
    "ObjectLockMode": (f"{_LOCK}mode", _NONE),
    "ObjectLockRetainUntilDate": (f"{_LOCK}retain-until-date", _NONE),
    "ObjectOwnership": ("x-amz-object-ownership", frozenset({"BucketOwnerEnforced"})),
    "BucketNamespace": ("x-amz-bucket-namespace", frozenset({"global"})),
    "SSECustomerAlgorithm": (f"{_SSE}-customer-algorithm", _NONE),
    "SSECustomerKey": (f"{_SSE}-customer-key", _NONE),
    "SSECustomerKeyMD5": (f"{_SSE}-customer-key-MD5", _NONE),
    "SSEKMSEncryptionContext": (f"{_SSE}-context", _NONE),
    "SSEKMSKeyId": (f"{_SSE}-aws-kms-key-id", _NONE),
    "ServerSideEncryption": (_SSE, frozenset({"AES256"})),
    "Tagging": ("x-amz-tagging", frozenset({""})),
    "WebsiteRedirectLocation": ("x-amz-website-redirect-location", _NONE),
    "WriteOffsetBytes": ("x-amz-write-offset-bytes", _NONE),
}
NAMES = frozenset(_HONOURED)

_ACLS = frozenset(
    {
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "aws-exec-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    }
)

STANDARD = "STANDARD"
ARCHIVED = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Classes whose objects cannot be read before they are restored, which is not served yet."""
_CLASSES = ARCHIVED | {
    STANDARD,
    "REDUCED_REDUNDANCY",
    "STANDARD_IA",
    "ONEZONE_IA",
    "INTELLIGENT_TIERING",
    "GLACIER_IR",
}


def refuse(request: Mapping[str, Any]) -> None:
    """Errors: NotImplemented (501) naming the header that is not honoured."""
    if asked := NAMES & request.keys():
        for name in sorted(asked):
            header, honoured = _HONOURED[name]
            if request[name] in honoured:
                continue
            if name == "ACL" and request[name] not in _ACLS:
                raise invalid_argument(None, header, request[name])
            raise not_implemented(header)


def storage_class(request: Mapping[str, Any]) -> str:
    """The class that a write asks for. Errors: InvalidStorageClass."""
    asked = request.get("StorageClass") or STANDARD
    if asked not in _CLASSES:
        text = "The storage class you specified is not valid"
        fields = {"StorageClassRequested": asked}
        raise AwsError("InvalidStorageClass", text, status=400, fields=fields)
    return str(asked)


def check_version(request: Mapping[str, Any]) -> None:
    """Buckets have no versions yet, so only `null` names one. Errors: InvalidArgument."""
    if request.get("VersionId", "null") != "null":
        text = "Invalid version id specified"
        raise invalid_argument(text, "versionId", request["VersionId"])
