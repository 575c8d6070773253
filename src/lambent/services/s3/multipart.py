"""Multipart uploads: create, upload parts, abort. How they become objects is in `completion.py`.

An upload is a record under (bucket, key, id); its parts are records under (bucket, id, number),
each with its blob. Completing makes the parts' blobs the object's, in the commit that removes them:
no byte is copied. Ids rise with time, so that a key's uploads list in the order they began.

A part that is stored while its upload ends would be left behind by the commit that ends it; so
whoever ends an upload looks again afterwards (`sweep`).
"""

from typing import Any

from lambent.kernel import Ctx, Verbs, Wire
from lambent.services.s3 import buckets, content, objects
from lambent.services.s3.errors import (
    invalid_argument,
    invalid_request,
    no_such_upload,
)
from lambent.services.s3.limits import DELETE_ROWS, PARTS_MAX
from lambent.services.s3.objects import ENCRYPTION
from lambent.services.s3.rules import checksums, options
from lambent.services.s3.rules.names import check_key
from lambent.store.protocol import Blob, Delete, Put, Record

VERBS = Verbs()


async def find(ctx: Ctx, request: Wire) -> tuple[Ctx, Record]:
    """The upload that a request names, and the home of its bucket.

    Errors: NoSuchBucket, NoSuchUpload, AccessDenied, PermanentRedirect, NotImplemented.
    """
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    record = await ctx.get("Upload", request["Bucket"], request["Key"], request["UploadId"])
    if record is None:
        raise no_such_upload(request["UploadId"])
    return ctx, record


@VERBS.operation("CreateMultipartUpload")
async def create_multipart_upload(ctx: Ctx, request: Wire) -> Wire:
    """Begin an upload.

    Errors: NoSuchBucket, KeyTooLongError, InvalidRequest (checksum kinds that do not fit).
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
    """
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    bucket, key = request["Bucket"], request["Key"]
    check_key(key)
    kind = checksums.upload_kind(request.get("ChecksumAlgorithm"), request.get("ChecksumType"))
    now_s = ctx.now()
    upload_id = f"{int(now_s * 1_000_000):015x}" + ctx.platform.ids.uuid().replace("-", "")
    value = objects.described(request) | {
        "Initiated": now_s,
        "Initiator": _initiator(ctx),
        "_seen": seen(await ctx.get("Object", bucket, key)),
    }
    if kind is not None:
        value |= {"ChecksumAlgorithm": kind[0], "ChecksumType": kind[1]}
    await buckets.check_open(ctx, bucket)
    await ctx.commit(Put(ctx.key("Upload", bucket, key, upload_id), value))
    answer = {
        "Bucket": bucket,
        "Key": key,
        "UploadId": upload_id,
        "ServerSideEncryption": ENCRYPTION,
    }
    if kind is not None:
        answer |= {"ChecksumAlgorithm": kind[0], "ChecksumType": kind[1]}
    return answer


def _initiator(ctx: Ctx) -> Wire:
    name = ctx.principal.arn.rpartition("/")[2]
    if ctx.principal.arn.endswith(":root"):
        return buckets.owner(ctx) | {"DisplayName": ctx.account}
    return {"ID": ctx.principal.arn, "DisplayName": name}


def seen(record: Record | None) -> list[Any] | None:
    """What tells one state of an object from the next."""
    return None if record is None else [record.version, record.value["LastModified"]]


def check_number(number: int) -> None:
    """Errors: InvalidArgument."""
    if not 1 <= number <= PARTS_MAX:
        text = f"Part number must be an integer between 1 and {PARTS_MAX}, inclusive"
        raise invalid_argument(text, "partNumber", number)


@VERBS.operation("UploadPart")
async def upload_part(ctx: Ctx, request: Wire) -> Wire:
    """Store one part, in place of an earlier one of that number.

    Errors: NoSuchUpload, InvalidArgument, BadDigest, InvalidRequest.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
    """
    check_number(request["PartNumber"])
    ctx, upload = await find(ctx, request)
    claim = checksums.claimed(request)
    algorithm = upload.value.get("ChecksumAlgorithm")
    if algorithm is not None and claim is not None and claim[0] != algorithm:
        raise invalid_request(
            f"Checksum Type mismatch occurred, expected checksum Type: {algorithm.lower()}, "
            f"actual checksum Type: {claim[0].lower()}"
        )
    kept = algorithm or checksums.DEFAULT
    wanted = (kept,) if claim is None or claim[0] == kept else (kept, claim[0])
    received = await content.receive(ctx, request, claim, wanted)
    try:
        await keep_part(ctx, request, received.etag, received.blob, received.checksums[kept])
    finally:
        received.release(ctx)
    answer = {"ETag": received.etag, "ServerSideEncryption": ENCRYPTION}
    shown = algorithm or received.claimed
    if shown is not None:
        answer[checksums.member(shown)] = received.checksums[shown]
    return answer


async def keep_part(ctx: Ctx, request: Wire, etag: str, blob: Blob, checksum: str) -> float:
    """Commit a part; when that was. `checksum`: of the upload's algorithm, else of the default.

    Errors: NoSuchUpload when the upload has ended meanwhile; as `buckets.check_open`.
    """
    bucket, upload_id = request["Bucket"], request["UploadId"]
    await buckets.check_open(ctx, bucket)
    if await ctx.get("Upload", bucket, request["Key"], upload_id) is None:
        raise no_such_upload(upload_id)
    now_s = ctx.now()
    value = {
        "PartNumber": request["PartNumber"],
        "LastModified": now_s,
        "ETag": etag,
        "Size": blob.size_bytes,
        "_checksum": checksum,
        "_blob": blob.sha256,
    }
    key = ctx.key("Part", bucket, upload_id, f"{request['PartNumber']:05d}")
    await ctx.commit(Put(key, value, None, (blob,)))
    return now_s


@VERBS.operation("AbortMultipartUpload")
async def abort_multipart_upload(ctx: Ctx, request: Wire) -> Wire:
    """End an upload and drop its parts. Errors: NoSuchUpload."""
    ctx, upload = await find(ctx, request)
    await ctx.commit(Delete(upload.key))
    await sweep(ctx, request)
    return {}


async def sweep(ctx: Ctx, request: Wire) -> None:
    """Drop the parts of an upload that has ended, those included that came at the last moment."""
    await ctx.store.commit()
    prefix = ctx.key("Part", request["Bucket"], request["UploadId"])
    while rows := await ctx.store.scan(prefix, limit=DELETE_ROWS):
        await ctx.commit(*(Delete(row.key) for row in rows))
