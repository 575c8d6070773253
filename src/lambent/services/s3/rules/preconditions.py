"""Conditional requests: whether an object may be read, copied or written. Pure.

`If-Match` wins over `If-Unmodified-Since` and `If-None-Match` over `If-Modified-Since`, as RFC 9110
says and S3's guide repeats; a date in the future says nothing. ETags compare without quotes.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.services.s3.errors import conflict, no_such_key, not_implemented, precondition_failed

_COPY = "x-amz-copy-source-"


class Tag(Struct, frozen=True):
    """What conditions look at: an object's ETag (in quotes) and its time of last change."""

    etag: str
    modified_s: float


def _failed(request: Mapping[str, Any], prefix: str, tag: Tag, now_s: float) -> str | None:
    """The first condition that does not hold, by its header name without prefix; or None."""
    modified_s = int(tag.modified_s)
    if (match := request.get(prefix + "IfMatch")) is not None:
        if not _matches(match, tag.etag):
            return "If-Match"
    elif modified_s > request.get(prefix + "IfUnmodifiedSince", modified_s):
        return "If-Unmodified-Since"
    if (match := request.get(prefix + "IfNoneMatch")) is not None:
        if _matches(match, tag.etag):
            return "If-None-Match"
    elif modified_s <= request.get(prefix + "IfModifiedSince", -1) <= now_s:
        return "If-Modified-Since"
    return None


def _matches(header: str, etag: str) -> bool:
    if header == "*":
        return True
    bare = etag.strip('"')
    return any(one.strip().removeprefix("W/").strip('"') == bare for one in header.split(","))


CONDITIONS = frozenset({"IfMatch", "IfNoneMatch", "IfModifiedSince", "IfUnmodifiedSince"})


def check_read(request: Mapping[str, Any], tag: Tag, now_s: float) -> None:
    """Whether GetObject or HeadObject may answer. Errors: PreconditionFailed, NotModified (304)."""
    condition = _failed(request, "", tag, now_s)
    if condition is None:
        return
    if condition in ("If-Match", "If-Unmodified-Since"):
        raise precondition_failed(condition)
    raise AwsError("NotModified", "Not Modified", status=304, headers={"ETag": tag.etag})


def check_copy(request: Mapping[str, Any], tag: Tag, now_s: float) -> None:
    """Whether the source of a copy may be read. Errors: PreconditionFailed."""
    condition = _failed(request, "CopySource", tag, now_s)
    if condition is not None:
        raise precondition_failed(_COPY + condition)


def check_write_headers(request: Mapping[str, Any]) -> bool:
    """Whether a write has conditions at all. Errors: NotImplemented for values S3 does not take."""
    if_match, if_none = request.get("IfMatch"), request.get("IfNoneMatch")
    if if_match is None and if_none is None:
        return False
    if if_match is not None and if_none is not None:
        more = "Multiple conditional request headers present in the request"
        raise not_implemented("If-Match,If-None-Match", more)
    header = "If-Match" if if_none is None else "If-None-Match"
    if if_match == "*" or if_none not in (None, "*"):
        more = f"We don't accept the provided value of {header} header for this API"
        raise not_implemented(header, more)
    return True


def check_write(request: Mapping[str, Any], key: str, tag: Tag | None) -> None:
    """Whether an object may be written over `tag` (None: there is none).

    Errors: PreconditionFailed, NoSuchKey (If-Match of nothing).
    """
    if (match := request.get("IfMatch")) is not None:
        if tag is None:
            raise no_such_key(key)
        if not _matches(match, tag.etag):
            raise precondition_failed("If-Match")
    elif request.get("IfNoneMatch") is not None and tag is not None:
        raise precondition_failed("If-None-Match")


def lost_race(request: Mapping[str, Any], key: str) -> AwsError:
    """What a conditional write answers when another one came between its check and its commit."""
    return conflict("If-Match" if "IfMatch" in request else "If-None-Match", key)
