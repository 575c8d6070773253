"""Writing and deleting objects.

An object's record lies under its key and has the members of HeadObject's answer by their wire
names (checksums together under `Checksum`, as GetObjectAttributes answers them), `Size`, and what
is ours: `_blobs`, the content, and for objects of parts `_parts`. Members that say what is usual
(class STANDARD) are left out, as AWS's answers leave them out.

Every change commits once, with the domain event that tells of it.
"""

from collections.abc import Sequence
from typing import Any

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.services.s3 import buckets, content
from lambent.services.s3.errors import (
    invalid_argument,
    malformed_xml,
    no_such_key,
    precondition_failed,
)
from lambent.services.s3.limits import METADATA_BYTES_MAX, PAGE_MAX
from lambent.services.s3.rules import checksums, options, preconditions
from lambent.services.s3.rules.names import check_key
from lambent.services.s3.rules.preconditions import Tag
from lambent.store.protocol import ABSENT, Blob, Change, Conflict, Delete, Put, Record

VERBS = Verbs()

ENCRYPTION = "AES256"
"""What S3 says of every object. Ours are not encrypted at rest: see the package's docstring."""

CONTENT_TYPE = "binary/octet-stream"
_HEADERS = (
    "CacheControl",
    "ContentDisposition",
    "ContentLanguage",
    "Expires",
)
DESCRIPTION = (*_HEADERS, "ContentType", "ContentEncoding", "Metadata")
"""Members of a record that say what the content is, given by whoever writes it."""


def described(request: Wire) -> Wire:
    """The description that a write gives. Errors: MetadataTooLarge, InvalidStorageClass."""
    metadata = request.get("Metadata") or {}
    if metadata:
        _check_metadata(metadata)
    found: Wire = {"ContentType": request.get("ContentType") or CONTENT_TYPE, "Metadata": metadata}
    for name in _HEADERS:
        if name in request:
            found[name] = request[name]
    if encoding := request.get("ContentEncoding"):
        # `aws-chunked` is how the body travelled, not what it is.
        kept = [one for one in encoding.split(",") if one.strip() != "aws-chunked"]
        if kept:
            found["ContentEncoding"] = ",".join(kept).strip()
    kind = options.storage_class(request)
    if kind != options.STANDARD:
        found["StorageClass"] = kind
    return found


def _check_metadata(metadata: dict[str, str]) -> None:
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > METADATA_BYTES_MAX:
        text = "Your metadata headers exceed the maximum allowed metadata size"
        fields = {"Size": size, "MaxSizeAllowed": METADATA_BYTES_MAX}
        raise AwsError("MetadataTooLarge", text, status=400, fields=fields)


def tag_of(record: Record | None) -> Tag | None:
    """What conditions look at."""
    return None if record is None else Tag(record.value["ETag"], record.value["LastModified"])


async def expected(ctx: Ctx, request: Wire) -> int | None:
    """The version that a conditional write may replace; None when there is no condition.

    Errors: PreconditionFailed, NoSuchKey, NotImplemented.
    """
    if not preconditions.check_write_headers(request):
        return None
    old = await ctx.get("Object", request["Bucket"], request["Key"])
    preconditions.check_write(request, request["Key"], tag_of(old))
    return ABSENT if old is None else old.version


async def store(
    ctx: Ctx,
    request: Wire,
    value: Wire,
    blobs: Sequence[Blob],
    operation: str,
    *,
    version: int | None = None,
    first: Sequence[Change] = (),
) -> None:
    """Commit an object, after `first` and with it. `ctx` is the bucket's home; `version` the one
    that it replaces.

    Errors: NoSuchBucket, OperationAborted, PreconditionFailed, ConditionalRequestConflict; Conflict
    for a key of `first`.
    """
    bucket, key = request["Bucket"], request["Key"]
    await buckets.check_open(ctx, bucket)
    event = _event(bucket, key, value, operation)
    put = Put(ctx.key("Object", bucket, key), value, version, tuple(blobs))
    try:
        await ctx.commit(*first, put, events=(("ObjectCreated", event),))
    except Conflict as error:
        if error.key != put.key:
            raise
        if version == ABSENT:
            raise precondition_failed("If-None-Match") from None
        raise preconditions.lost_race(request, key) from None


def _event(bucket: str, key: str, value: Wire, operation: str) -> Wire:
    return {
        "bucket": bucket,
        "key": key,
        "size": value["Size"],
        "etag": value["ETag"].strip('"'),
        "operation": operation,
    }


@VERBS.operation("PutObject")
async def put_object(ctx: Ctx, request: Wire) -> Wire:
    """Store an object, in one commit with its content when that is small.

    Errors: NoSuchBucket, KeyTooLongError, MetadataTooLarge, BadDigest, PreconditionFailed, ...
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
    """
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    check_key(request["Key"])
    value = described(request)
    version = await expected(ctx, request)
    claim = checksums.claimed(request)
    computed = claim[0] if claim else checksums.DEFAULT
    received = await content.receive(ctx, request, claim, (computed,))
    algorithm = received.claimed or computed
    try:
        member = checksums.member(algorithm)
        checksum = {
            member: received.checksums[algorithm],
            "ChecksumType": checksums.FULL_OBJECT,
        }
        value["ETag"] = received.etag
        value["Size"] = received.blob.size_bytes
        value["LastModified"] = ctx.now()
        value["Checksum"] = checksum
        value["_blobs"] = content.pack((received.blob,))
        await store(ctx, request, value, (received.blob,), "Put", version=version)
    finally:
        received.release(ctx)
    return {"ETag": value["ETag"], "ServerSideEncryption": ENCRYPTION, **checksum}


@VERBS.operation("DeleteObject")
async def delete_object(ctx: Ctx, request: Wire) -> Wire:
    """Delete an object; deleting what is not there succeeds, unless If-Match expects it.

    Errors: NoSuchBucket, NoSuchKey, PreconditionFailed, InvalidArgument.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
    """
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    _refuse_bypass(request)
    options.check_version(request)
    bucket, key = request["Bucket"], request["Key"]
    record = await ctx.get("Object", bucket, key)
    if "IfMatch" in request:
        if record is None:
            raise no_such_key(key)
        if request["IfMatch"] != "*":
            preconditions.check_write(request, key, tag_of(record))
    if record is None:
        return {}
    version = record.version if "IfMatch" in request else None
    event = _event(bucket, key, record.value, "Delete")
    try:
        await ctx.commit(Delete(record.key, version), events=(("ObjectRemoved", event),))
    except Conflict:
        raise preconditions.lost_race(request, key) from None
    return {}


def _refuse_bypass(request: Wire) -> None:
    if "BypassGovernanceRetention" in request:
        name = "x-amz-bypass-governance-retention"
        text = f"{name} is only applicable to Object Lock enabled buckets."
        raise invalid_argument(text, name)


@VERBS.operation("DeleteObjects")
async def delete_objects(ctx: Ctx, request: Wire) -> Wire:
    """Delete up to 1,000 objects in one commit, each with an outcome of its own.

    Errors: NoSuchBucket, MalformedXML.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
    """
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    _refuse_bypass(request)
    asked = (request.get("Delete") or {}).get("Objects") or []
    if not 0 < len(asked) <= PAGE_MAX or not all(one.get("Key") for one in asked):
        raise malformed_xml()
    deleted: list[Wire] = []
    errors: list[Wire] = []
    changes: dict[str, Delete] = {}
    events: list[tuple[str, Wire]] = []
    for one in asked:
        record = await ctx.get("Object", request["Bucket"], one["Key"])
        if error := _undeletable(one, record):
            errors.append(error)
            continue
        deleted.append({name: one[name] for name in ("Key", "VersionId") if name in one})
        if record is not None and one["Key"] not in changes:
            changes[one["Key"]] = Delete(record.key, record.version if "ETag" in one else None)
            event = _event(request["Bucket"], one["Key"], record.value, "Delete")
            events.append(("ObjectRemoved", event))
    if changes:
        await ctx.commit(*changes.values(), events=events)
    answer: Wire = {}
    if deleted and not request["Delete"].get("Quiet"):
        answer["Deleted"] = deleted
    if errors:
        answer["Errors"] = errors
    return answer


def _undeletable(one: Wire, record: Record | None) -> Wire | None:
    """The error of one entry of DeleteObjects; None if it may go."""
    code = text = ""
    if one.get("VersionId", "null") != "null":
        code, text = "NoSuchVersion", "The specified version does not exist."
    elif one.keys() & {"LastModifiedTime", "Size"}:
        code = "NotImplemented"
        text = "A header you provided implies functionality that is not implemented"
    elif "ETag" in one and record is None:
        code, text = "NoSuchKey", "The specified key does not exist."
    elif "ETag" in one and record is not None:
        try:
            if one["ETag"] != "*":
                preconditions.check_write({"IfMatch": one["ETag"]}, one["Key"], tag_of(record))
        except AwsError as error:
            code, text = error.code, str(error.message)
    if not code:
        return None
    named: dict[str, Any] = {name: one[name] for name in ("Key", "VersionId") if name in one}
    return named | {"Code": code, "Message": text}
