"""CompleteMultipartUpload: the listed parts become one object, without copying a byte.

The parts' blobs become the object's in the commit that ends the upload. Its ETag is made of the
parts' MD5s, its checksum of theirs (see `rules/checksums.py`).
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
"""

import hashlib
from collections.abc import Sequence
from itertools import pairwise

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.services.s3 import buckets, content, multipart, objects, parts
from lambent.services.s3.errors import (
    bad_digest,
    conflict,
    invalid_part,
    invalid_request,
    malformed_xml,
    no_such_upload,
    operation_aborted,
)
from lambent.services.s3.limits import PAGE_MAX, PART_BYTES_MIN
from lambent.services.s3.objects import ENCRYPTION
from lambent.services.s3.rules import checksums
from lambent.services.s3.rules.names import path_encoded
from lambent.store.protocol import Blob, Conflict, Delete, Record

VERBS = Verbs()

_ATTEMPTS = 8
"""How often parts may change under a completion before it gives up."""


class _Whole(Struct, frozen=True):
    """What the listed parts make together."""

    rows: Sequence[Record]
    size_bytes: int
    etag: str
    checksum: Wire
    digests: Sequence[bytes]


@VERBS.operation("CompleteMultipartUpload")
async def complete_multipart_upload(ctx: Ctx, request: Wire) -> Wire:
    """Make the listed parts one object. Completing again what has just been completed succeeds.

    Errors: NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, MalformedXML, BadDigest,
    PreconditionFailed, ConditionalRequestConflict.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
    """
    try:
        ctx, upload = await multipart.find(ctx, request)
    except AwsError as error:
        done = await _completed(ctx, request) if error.code == "NoSuchUpload" else None
        if done is None:
            raise
        return _answer(ctx, request, done)
    value = await _complete(ctx, request, upload)
    await multipart.sweep(ctx, request)
    return _answer(ctx, request, value)


async def _complete(ctx: Ctx, request: Wire, upload: Record) -> Wire:
    """Commit the object; the record. A part that is replaced meanwhile is looked at again."""
    for _ in range(_ATTEMPTS):
        whole = await _assemble(ctx, request, upload.value)
        version = await _expected(ctx, request, upload)
        value = _object(ctx, request, upload.value, whole)
        blobs = [Blob(row.value["_blob"], row.value["Size"]) for row in whole.rows]
        value["_blobs"] = content.pack(blobs)
        ends = [Delete(row.key, row.version) for row in (upload, *whole.rows)]
        try:
            await objects.store(
                ctx, request, value, blobs, "CompleteMultipartUpload", version=version, first=ends
            )
        except Conflict as error:
            if error.key == upload.key:
                raise no_such_upload(request["UploadId"]) from None
        else:
            return value
    raise operation_aborted()


async def _completed(ctx: Ctx, request: Wire) -> Wire | None:
    ctx = await buckets.home(ctx, request)
    record = await ctx.get("Object", request["Bucket"], request["Key"])
    if record is None or record.value.get("_upload") != request["UploadId"]:
        return None
    return record.value


async def _expected(ctx: Ctx, request: Wire, upload: Record) -> int | None:
    """As `objects.expected`; a change since the upload began is a conflict even if it fits.

    Errors: ConditionalRequestConflict besides.
    """
    version = await objects.expected(ctx, request)
    if version is None:
        return None
    now = multipart.seen(await ctx.get("Object", request["Bucket"], request["Key"]))
    if now != upload.value["_seen"]:
        condition = "If-Match" if "IfMatch" in request else "If-None-Match"
        raise conflict(condition, request["Key"])
    return version


async def _assemble(ctx: Ctx, request: Wire, upload: Wire) -> _Whole:
    listed = (request.get("MultipartUpload") or {}).get("Parts") or []
    if not listed or any("PartNumber" not in part or "ETag" not in part for part in listed):
        raise malformed_xml()
    numbers = [part["PartNumber"] for part in listed]
    if any(one >= two for one, two in pairwise(numbers)):
        raise AwsError(
            "InvalidPartOrder",
            "The list of parts was not in ascending order. Parts must be ordered by part number.",
            status=400,
            fields={"UploadId": request["UploadId"]},
        )
    kind = upload.get("ChecksumType")
    if request.get("ChecksumType", kind) != kind:
        raise invalid_request(
            f"The upload was created using the {kind or 'null'} checksum mode. "
            "The complete request must use the same checksum mode."
        )
    stored = await _stored(ctx, request)
    rows = [_chosen(request, upload, part, stored) for part in listed]
    for row in rows[:-1]:
        if row.value["Size"] < PART_BYTES_MIN:
            raise _too_small(row.value)
    total = sum(row.value["Size"] for row in rows)
    if request.get("MpuObjectSize", total) != total:
        raise invalid_request(
            f"The provided 'x-amz-mp-object-size' header value {request['MpuObjectSize']} "
            f"does not match what was computed: {total}"
        )
    joined = b"".join(bytes.fromhex(row.value["ETag"].strip('"')) for row in rows)
    md5 = hashlib.md5(joined, usedforsecurity=False).hexdigest()
    digests = [checksums.decode(row.value["_checksum"]) for row in rows]
    checksum = _checksum(request, upload, digests, [row.value["Size"] for row in rows])
    return _Whole(rows, total, f'"{md5}-{len(rows)}"', checksum, digests)


async def _stored(ctx: Ctx, request: Wire) -> dict[int, Record]:
    prefix = ctx.key("Part", request["Bucket"], request["UploadId"])
    found: dict[int, Record] = {}
    after = None
    while rows := await ctx.store.scan(prefix, after=after, limit=PAGE_MAX):
        found |= {row.value["PartNumber"]: row for row in rows}
        after = rows[-1].key
    return found


def _chosen(request: Wire, upload: Wire, part: Wire, stored: dict[int, Record]) -> Record:
    """The stored part that one entry of the request means. Errors: InvalidPart, BadDigest."""
    number, etag = part["PartNumber"], part["ETag"].strip('"')
    row = stored.get(number)
    algorithm = upload.get("ChecksumAlgorithm")
    claim = checksums.of(part)
    if (
        row is None
        or row.value["ETag"].strip('"') != etag
        or (algorithm is None and claim is not None)
    ):
        raise invalid_part(request["UploadId"], number, etag)
    if algorithm is None:
        return row
    if claim is None and upload["ChecksumType"] == checksums.COMPOSITE:
        raise invalid_request(
            f"The upload was created using a {algorithm.lower()} checksum. The complete request "
            "must include the checksum for each part. "
            f"It was missing for part {number} in the request."
        )
    if claim is not None and claim != (algorithm, row.value["_checksum"]):
        raise bad_digest(
            f"The {claim[0].lower()} you specified for part {number} "
            "did not match what we received."
        )
    return row


def _too_small(part: Wire) -> AwsError:
    return AwsError(
        "EntityTooSmall",
        "Your proposed upload is smaller than the minimum allowed size",
        status=400,
        fields={
            "ETag": part["ETag"].strip('"'),
            "MinSizeAllowed": PART_BYTES_MIN,
            "PartNumber": part["PartNumber"],
            "ProposedSize": part["Size"],
        },
    )


def _checksum(request: Wire, upload: Wire, digests: Sequence[bytes], sizes: Sequence[int]) -> Wire:
    """The whole's checksum, if the request says nothing else. Errors: InvalidRequest, BadDigest."""
    algorithm = upload.get("ChecksumAlgorithm", checksums.DEFAULT)
    kind = upload.get("ChecksumType", checksums.FULL_OBJECT)
    if kind == checksums.COMPOSITE:
        value = checksums.composite(algorithm, digests)
    else:
        value = checksums.combined(algorithm, zip(digests, sizes, strict=True))
    claim = checksums.of(request)
    if claim is not None:
        # Without its type S3 takes a claim for that of the parts' checksums, as a full one is not.
        fits = claim[0] == algorithm and (
            claim[1] == value if kind == checksums.COMPOSITE or "ChecksumType" in request else False
        )
        if not fits:
            raise bad_digest(
                f"The {algorithm.lower()} you specified did not match the calculated checksum."
            )
    return {checksums.member(algorithm): value, "ChecksumType": kind}


def _object(ctx: Ctx, request: Wire, upload: Wire, whole: _Whole) -> Wire:
    names = (*objects.DESCRIPTION, "StorageClass")
    value: Wire = {name: upload[name] for name in names if name in upload}
    with_digests = "ChecksumAlgorithm" in upload
    value["_parts"] = parts.pack(
        [
            parts.Part(row.value["PartNumber"], row.value["Size"], digest if with_digests else b"")
            for row, digest in zip(whole.rows, whole.digests, strict=True)
        ]
    )
    return value | {
        "ETag": whole.etag,
        "Size": whole.size_bytes,
        "LastModified": ctx.now(),
        "Checksum": whole.checksum,
        "_upload": request["UploadId"],
    }


def _answer(ctx: Ctx, request: Wire, value: Wire) -> Wire:
    bucket, key = request["Bucket"], request["Key"]
    host = ctx.origin.removeprefix("http://")
    path = "" if host.startswith(f"{bucket}.s3.") else f"/{bucket}"
    return {
        "Location": f"{ctx.origin}{path}/{path_encoded(key)}",
        "Bucket": bucket,
        "Key": key,
        "ETag": value["ETag"],
        "ServerSideEncryption": ENCRYPTION,
        **value["Checksum"],
    }
