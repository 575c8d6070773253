"""Amazon S3: buckets and objects, as the model of 2006-03-01 and recordings of AWS have them.

Served: buckets (create, head, list, delete, location), objects (put, get, head, copy, delete, bulk
delete, attributes), both listings, multipart uploads with copies. What else S3 does is answered 501
NotImplemented, by operation or by the header that asks for it (`rules/options.py`).
Guide: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html
Read first: `objects.py` (what a record is), then `buckets.py`, `content.py`, `rules/listing.py`.

Deviations, on purpose:
- Answers say `x-amz-server-side-encryption: AES256`, as every answer of S3 does and clients check;
  content is NOT encrypted at rest here. Encrypt the disk below the data folder if you need it.
- Buckets are their account's alone until policies exist: any other account gets AccessDenied.
- Only `private` and `bucket-owner-full-control` are taken as ACLs: they say what is so anyway.
- Storage classes are kept and shown; they change nothing but that GLACIER and DEEP_ARCHIVE objects
  cannot be read, as restoring them is not served yet.
- Every bucket has the one endpoint; the port speaks both path and virtual-host style.
"""

from collections.abc import Mapping

from lambent.base.arn import Arn
from lambent.base.errors import AwsError
from lambent.kernel import Service, Target, Wire
from lambent.services.s3 import buckets, completion, copying, lists, multipart, objects, reading


def _delivered(arn: str, payload: bytes, attributes: Mapping[str, str]) -> Wire:
    """PutObject of a delivery: into the ARN's bucket, under its path and attribute `Key`."""
    bucket, _, path = Arn.parse(arn).resource.partition("/")
    key = path + attributes.get("Key", "")
    if not key:
        raise AwsError("InvalidArgument", f"A delivery to {arn} needs a key.", status=400)
    request: Wire = {"Bucket": bucket, "Key": key, "Body": payload}
    if kind := attributes.get("ContentType"):
        request["ContentType"] = kind
    return request


_WORDED_HERE = frozenset(
    {
        "ACL",
        "AnnotationDirective",
        "BucketNamespace",
        "ChecksumAlgorithm",
        "ChecksumType",
        "CopySource",
        "CreateBucketConfiguration",
        "Delete",
        "EncodingType",
        "Key",
        "MaxBuckets",
        "MetadataDirective",
        "MultipartUpload",
        "ObjectAttributes",
        "ObjectLockEventHold",
        "ObjectLockLegalHoldStatus",
        "ObjectLockMode",
        "ObjectOwnership",
        "ServerSideEncryption",
        "StorageClass",
        "TaggingDirective",
    }
)
"""Members that S3 checks in words of its own, which are this package's."""

SERVICE = Service(
    name="s3",
    parts=(
        buckets.VERBS,
        objects.VERBS,
        reading.VERBS,
        copying.VERBS,
        lists.VERBS,
        multipart.VERBS,
        completion.VERBS,
    ),
    validation_code="InvalidArgument",
    unvalidated=_WORDED_HERE,
    start=buckets.start,
    targets={"": Target("PutObject", _delivered)},
)
