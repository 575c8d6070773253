"""CopyObject and UploadPartCopy.

A copy refers to its source's blobs: no byte is written. Only when something about the content has
to be computed anew (the ETag of what was uploaded in parts, another checksum) is it read.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.services.s3 import buckets, content, multipart, objects
from lambent.services.s3.content import Digests
from lambent.services.s3.errors import (
    invalid_argument,
    invalid_request,
    no_such_key,
)
from lambent.services.s3.limits import PUT_BYTES_MAX
from lambent.services.s3.objects import ENCRYPTION, tag_of
from lambent.services.s3.rules import checksums, options, preconditions
from lambent.services.s3.rules.names import check_key, copy_source
from lambent.services.s3.rules.ranges import Span, parse_copy_range
from lambent.store.protocol import Blob, Record

VERBS = Verbs()

_SAME = (
    "This copy request is illegal because it is trying to copy an object to itself without "
    "changing the object's metadata, storage class, website redirect location or encryption "
    "attributes."
)


async def source_of(ctx: Ctx, request: Wire) -> tuple[Ctx, Record]:
    """The object to copy from, and the home of its bucket.

    Errors: NoSuchBucket, NoSuchKey, AccessDenied, PreconditionFailed, InvalidArgument.
    """
    bucket, key, version = copy_source(request["CopySource"])
    options.check_version({"VersionId": version or "null"})
    there = await _home(ctx, request, bucket)
    record = await there.get("Object", bucket, key)
    if record is None:
        raise no_such_key(key)
    tag = tag_of(record)
    assert tag is not None
    preconditions.check_copy(request, tag, ctx.now())
    kind = record.value.get("StorageClass")
    if kind in options.ARCHIVED:
        text = "Operation is not valid for the source object's storage class"
        raise AwsError("InvalidObjectState", text, status=403, fields={"StorageClass": kind})
    return there, record


async def _home(ctx: Ctx, request: Wire, bucket: str) -> Ctx:
    """The source's home, in whatever region: a copy may cross them."""
    return await buckets.home(buckets.anywhere(ctx), request, bucket)


@VERBS.operation("CopyObject")
async def copy_object(ctx: Ctx, request: Wire) -> Wire:
    """Copy an object, with its description or a new one.

    Errors: as `source_of` and PutObject; InvalidRequest for a copy that changes nothing.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
    """
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    check_key(request["Key"])
    replaces = _replaces(request)
    version = await objects.expected(ctx, request)
    _, source = await source_of(ctx, request)
    same = source.key == ctx.key("Object", request["Bucket"], request["Key"])
    if same and not replaces and not request.keys() & {"StorageClass", "ServerSideEncryption"}:
        raise invalid_request(_SAME)
    if source.value["Size"] > PUT_BYTES_MAX:
        raise invalid_request(
            "The specified copy source is larger than the maximum allowable size "
            f"for a copy source: {PUT_BYTES_MAX}"
        )
    value = objects.described(request)
    if not replaces:
        old = source.value
        value = {name: value[name] for name in ("StorageClass",) if name in value}
        value |= {name: old[name] for name in objects.DESCRIPTION if name in old}
    blobs = content.unpack(source.value["_blobs"])
    with _kept(ctx, blobs):
        value |= await _computed(ctx, request, source.value)
        value |= {
            "Size": source.value["Size"],
            "LastModified": ctx.now(),
            "_blobs": source.value["_blobs"],
        }
        await objects.store(ctx, request, value, blobs, "Copy", version=version)
    result = {"ETag": value["ETag"], "LastModified": int(value["LastModified"])}
    return {
        "CopyObjectResult": result | value["Checksum"],
        "ServerSideEncryption": ENCRYPTION,
    }


def _replaces(request: Wire) -> bool:
    directive = request.get("MetadataDirective", "COPY")
    if directive not in ("COPY", "REPLACE"):
        name = "x-amz-metadata-directive"
        raise invalid_argument("Unknown metadata directive.", name, directive)
    if request.get("TaggingDirective", "COPY") not in ("COPY", "REPLACE"):
        name = "x-amz-tagging-directive"
        raise invalid_argument("Unknown tagging directive.", name, request["TaggingDirective"])
    return bool(directive == "REPLACE")


@contextmanager
def _kept(ctx: Ctx, blobs: Sequence[Blob]) -> Iterator[None]:
    """Keep the source's content until the copy refers to it, whatever becomes of the source."""
    for blob in blobs:
        ctx.store.blobs.pin(blob.sha256)
    try:
        yield
    finally:
        for blob in blobs:
            ctx.store.blobs.release(blob.sha256)


async def _computed(ctx: Ctx, request: Wire, source: Wire) -> Wire:
    """The copy's ETag and checksum: the source's where they fit content in one piece."""
    old = checksums.of(source["Checksum"])
    assert old is not None, "every object has a checksum"
    asked = request.get("ChecksumAlgorithm")
    algorithm = old[0] if asked is None else checksums.known(asked)
    whole = source["Checksum"]["ChecksumType"] == checksums.FULL_OBJECT
    if "_parts" not in source and whole and algorithm == old[0]:
        return {"ETag": source["ETag"], "Checksum": source["Checksum"]}
    digests = Digests((algorithm,))
    async for piece in content.read(ctx, source["_blobs"], Span(0, source["Size"])):
        digests.update(piece)
    return {
        "ETag": f'"{digests.md5.hex()}"',
        "Checksum": {
            checksums.member(algorithm): digests.encoded()[algorithm],
            "ChecksumType": checksums.FULL_OBJECT,
        },
    }


@VERBS.operation("UploadPartCopy")
async def upload_part_copy(ctx: Ctx, request: Wire) -> Wire:
    """Make a part of an upload from (a range of) an object.

    Errors: as `source_of`; NoSuchUpload, InvalidArgument and InvalidRequest for the range.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
    """
    multipart.check_number(request["PartNumber"])
    ctx, upload = await multipart.find(ctx, request)
    there, source = await source_of(ctx, request)
    size = source.value["Size"]
    span = Span(0, size)
    if (header := request.get("CopySourceRange")) is not None:
        span = parse_copy_range(header, size)
    algorithm = upload.value.get("ChecksumAlgorithm", checksums.DEFAULT)
    digests = Digests((algorithm,))
    writer = ctx.store.blobs.writer()
    try:
        async for piece in content.read(there, source.value["_blobs"], span):
            digests.update(piece)
            await writer.write(piece)
        blob = await writer.finish()
    finally:
        writer.close()
    etag, checksum = f'"{digests.md5.hex()}"', digests.encoded()[algorithm]
    try:
        now_s = await multipart.keep_part(ctx, request, etag, blob, checksum)
    finally:
        ctx.store.blobs.release(blob.sha256)
    result: Wire = {"ETag": etag, "LastModified": int(now_s)}
    if "ChecksumAlgorithm" in upload.value:
        result[checksums.member(algorithm)] = checksum
    return {"CopyPartResult": result, "ServerSideEncryption": ENCRYPTION}
