"""Reading objects: GetObject, HeadObject, GetObjectAttributes.

The way of a small object is one record and one blob, without a wait in between. The bucket's own
record is looked at only when there is no such object: the object's key already says whose it is.
"""

from collections.abc import AsyncIterator
from typing import Any

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.services.s3 import buckets, content, parts
from lambent.services.s3.errors import invalid_argument, invalid_request, no_such_key
from lambent.services.s3.limits import PAGE_MAX
from lambent.services.s3.objects import ENCRYPTION, tag_of
from lambent.services.s3.rules import checksums, options, preconditions
from lambent.services.s3.rules.preconditions import CONDITIONS
from lambent.services.s3.rules.ranges import Span, parse_range, part_span
from lambent.store.protocol import SMALL_BLOB_BYTES, Record
from lambent.wire.values import Stream, format_http_date

VERBS = Verbs()

_OVERRIDES = {
    "ResponseCacheControl": "CacheControl",
    "ResponseContentDisposition": "ContentDisposition",
    "ResponseContentEncoding": "ContentEncoding",
    "ResponseContentLanguage": "ContentLanguage",
    "ResponseContentType": "ContentType",
    "ResponseExpires": "Expires",
}
_PRIVATE = frozenset({"Checksum", "Size", "_blobs", "_parts", "_upload"})
_CAREFUL = options.NAMES | {"ExpectedBucketOwner", "VersionId"}
"""Members of a request that have to be looked at before it may be answered."""


async def find(ctx: Ctx, request: Wire) -> tuple[Ctx, Record]:
    """The object that a read names, and the home of its bucket.

    Errors: NoSuchBucket, NoSuchKey, AccessDenied, PermanentRedirect, InvalidArgument.
    """
    record = await ctx.get("Object", request["Bucket"], request["Key"])
    if record is None or not _CAREFUL.isdisjoint(request):
        options.refuse(request)
        ctx = await buckets.home(ctx, request)
        options.check_version(request)
        record = await ctx.get("Object", request["Bucket"], request["Key"])
        if record is None:
            raise no_such_key(request["Key"])
    return ctx, record


@VERBS.operation("GetObject")
async def get_object(ctx: Ctx, request: Wire) -> Wire:
    """An object, or the part or range of it that is asked for.

    Errors: NoSuchBucket, NoSuchKey, PreconditionFailed, NotModified, InvalidRange,
    InvalidPartNumber, InvalidObjectState.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
    """
    ctx, record = await find(ctx, request)
    value = record.value
    if value.get("StorageClass") in options.ARCHIVED:
        text = "The operation is not valid for the object's storage class"
        fields = {"StorageClass": value["StorageClass"]}
        raise AwsError("InvalidObjectState", text, status=403, fields=fields)
    answer, span = _head(ctx, request, record)
    if span.length == value["Size"] <= SMALL_BLOB_BYTES and len(value["_blobs"]) == 40:
        answer["Body"] = await ctx.store.blobs.read(value["_blobs"][:32].hex())
    else:
        answer["Body"] = Stream(_stream(ctx, value["_blobs"], span), span.length)
    return answer


def _stream(ctx: Ctx, packed: bytes, span: Span) -> AsyncIterator[bytes]:
    return content.read(ctx, packed, span)


@VERBS.operation("HeadObject")
async def head_object(ctx: Ctx, request: Wire) -> Wire:
    """What GetObject would answer, without the content. Errors: as GetObject, by status only."""
    ctx, record = await find(ctx, request)
    return _head(ctx, request, record)[0]


def _head(ctx: Ctx, request: Wire, record: Record) -> tuple[Wire, Span]:
    value = record.value
    if not CONDITIONS.isdisjoint(request):
        tag = tag_of(record)
        assert tag is not None
        preconditions.check_read(request, tag, ctx.now())
    answer = {name: member for name, member in value.items() if name not in _PRIVATE}
    answer["AcceptRanges"] = "bytes"
    answer["ServerSideEncryption"] = ENCRYPTION
    size = value["Size"]
    span: Span | None = None
    checksum: Wire = value["Checksum"]
    if "PartNumber" in request:
        span, checksum = _part(request, value, answer)
    elif "Range" in request:
        span = parse_range(request["Range"], size)
        if span is not None and span.length < size:
            checksum = {}
    if span is not None:
        answer["ContentRange"] = span.content_range(size) if size else None
    whole = span or Span(0, size)
    answer["ContentLength"] = whole.length
    if request.get("ChecksumMode") == "ENABLED":
        answer |= checksum
    for name in request.keys() & _OVERRIDES:
        text = request[name]
        answer[_OVERRIDES[name]] = format_http_date(text) if name == "ResponseExpires" else text
    return answer, whole


def _part(request: Wire, value: Wire, answer: Wire) -> tuple[Span, Wire]:
    if "Range" in request:
        raise invalid_request("Cannot specify both Range header and partNumber query parameter")
    number = request["PartNumber"]
    if number < 1:
        text = "Part number must be an integer between 1 and 10000, inclusive"
        raise invalid_argument(text, "partNumber", number)
    if "_parts" not in value:
        return part_span(number, [value["Size"]]), value["Checksum"]
    span = part_span(number, content.sizes(value["_blobs"]))
    listed = parts.unpack(value)
    answer["PartsCount"] = len(listed)
    algorithm = checksums.of(value["Checksum"])
    digest = listed[number - 1].digest
    if algorithm is None or not digest:
        return span, {}
    member = checksums.member(algorithm[0])
    kind = value["Checksum"]["ChecksumType"]
    return span, {member: checksums.encode(digest), "ChecksumType": kind}


@VERBS.operation("GetObjectAttributes")
async def get_object_attributes(ctx: Ctx, request: Wire) -> Wire:
    """The attributes that are asked for, and nothing else.

    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObjectAttributes.html
    """
    ctx, record = await find(ctx, request)
    value = record.value
    attributes: dict[str, Any] = {
        "ETag": value["ETag"].strip('"'),
        "Checksum": value["Checksum"],
        "ObjectParts": _object_parts(request, value),
        "StorageClass": value.get("StorageClass", options.STANDARD),
        "ObjectSize": value["Size"],
    }
    answer: Wire = {"LastModified": value["LastModified"]}
    for name in request.get("ObjectAttributes") or []:
        if name not in attributes:
            text = "Invalid attribute name specified."
            raise invalid_argument(text, "x-amz-object-attributes")
        if attributes[name] is not None:
            answer[name] = attributes[name]
    return answer


def _object_parts(request: Wire, value: Wire) -> Wire | None:
    """How many parts there are; which ones, where the whole's checksum is made of theirs."""
    if "_parts" not in value:
        return None
    listed = parts.unpack(value)
    answer: Wire = {"TotalPartsCount": len(listed)}
    checksum = checksums.of(value["Checksum"])
    if checksum is None or value["Checksum"]["ChecksumType"] != checksums.COMPOSITE:
        return answer
    marker = request.get("PartNumberMarker", 0)
    limit = min(request.get("MaxParts", PAGE_MAX), PAGE_MAX)
    after = [part for part in listed if part.number > marker]
    shown = after[:limit]
    member = checksums.member(checksum[0])
    return answer | {
        "PartNumberMarker": marker,
        "NextPartNumberMarker": shown[-1].number if shown else 0,
        "MaxParts": limit,
        "IsTruncated": len(after) > limit,
        "Parts": [
            {"PartNumber": p.number, "Size": p.size_bytes, member: checksums.encode(p.digest)}
            for p in shown
        ],
    }
