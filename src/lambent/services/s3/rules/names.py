"""Names of buckets and keys, and where a bucket may be created. Pure.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

import re
from urllib.parse import quote, quote_plus, unquote

from lambent.base.errors import AwsError
from lambent.services.s3.errors import invalid_argument
from lambent.services.s3.limits import KEY_BYTES_MAX

HOME = "us-east-1"
"""The region of buckets without a LocationConstraint, and the only endpoint that takes others."""

_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9][a-z0-9-]*)*")
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
_REGION = re.compile(r"[a-z]{2,3}(-[a-z]+)+-\d{1,2}")


def check_bucket(name: str) -> None:
    """Errors: InvalidBucketName."""
    if (
        not 3 <= len(name) <= 63
        or _BUCKET.fullmatch(name) is None
        or name.endswith("-")
        or "-." in name
        or _ADDRESS.fullmatch(name)
        or name.startswith(_PREFIXES)
        or name.endswith(_SUFFIXES)
    ):
        text = "The specified bucket is not valid."
        raise AwsError("InvalidBucketName", text, status=400, fields={"BucketName": name})


def check_key(key: str) -> None:
    """Errors: KeyTooLongError."""
    if len(key) * 4 > KEY_BYTES_MAX and (size := len(key.encode())) > KEY_BYTES_MAX:
        fields = {"MaxSizeAllowed": KEY_BYTES_MAX, "Size": size}
        raise AwsError("KeyTooLongError", "Your key is too long", status=400, fields=fields)


def bucket_region(constraint: str | None, endpoint_region: str) -> str:
    """The region that CreateBucket asks for, sent to the endpoint of `endpoint_region`.

    Errors: InvalidLocationConstraint, IllegalLocationConstraintException.
    """
    if constraint is None:
        if endpoint_region == HOME:
            return HOME
        raise _illegal("unspecified")
    region = "eu-west-1" if constraint == "EU" else constraint
    if endpoint_region not in (HOME, region):
        raise _illegal(constraint)
    if region == HOME or _REGION.fullmatch(region) is None:
        text = "The specified location-constraint is not valid"
        fields = {"LocationConstraint": constraint}
        raise AwsError("InvalidLocationConstraint", text, status=400, fields=fields)
    return region


def _illegal(constraint: str) -> AwsError:
    text = (
        f"The {constraint} location constraint is incompatible "
        "for the region specific endpoint this request was sent to."
    )
    return AwsError("IllegalLocationConstraintException", text, status=400)


def copy_source(header: str) -> tuple[str, str, str | None]:
    """(bucket, key, version) of `x-amz-copy-source`, percent-encoded. Errors: InvalidArgument."""
    path, _, query = header.partition("?")
    bucket, _, key = unquote(path).removeprefix("/").partition("/")
    if not bucket or not key:
        name = "x-amz-copy-source"
        raise invalid_argument("Invalid copy source object key", name, name)
    version = query.removeprefix("versionId=") if query.startswith("versionId=") else None
    return bucket, key, version


def url_encoded(text: str) -> str:
    """A key as listings with `encoding-type=url` spell it."""
    return quote_plus(text, safe="/*")


def path_encoded(key: str) -> str:
    """A key as part of an address."""
    return quote(key, safe="/~")
