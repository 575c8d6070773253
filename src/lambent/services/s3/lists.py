"""The listings: objects (both versions), multipart uploads, parts.

`listing.walk` does the walking; here requests become walks and pages become answers. With
`encoding-type=url` everything made of keys is percent-encoded, since XML cannot carry every key.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html and its siblings
"""

from collections.abc import Callable, Sequence

from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.paging import BadTokenError, decode_token, encode_token
from lambent.services.s3 import buckets, multipart
from lambent.services.s3.errors import invalid_argument
from lambent.services.s3.limits import KEY_BYTES_MAX, PAGE_MAX, PARTS_MAX
from lambent.services.s3.rules import checksums, options
from lambent.services.s3.rules.listing import Page, Seek, walk
from lambent.services.s3.rules.names import url_encoded
from lambent.store.protocol import Record

VERBS = Verbs()

Spell = Callable[[str], str]


@VERBS.operation("ListObjectsV2")
async def list_objects_v2(ctx: Ctx, request: Wire) -> Wire:
    """One page of a bucket's keys in the order of their UTF-8 bytes.

    Errors: NoSuchBucket, InvalidArgument (page size, encoding, continuation token).
    """
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    spell, limit = _encoding(request), _limit(request, "MaxKeys", "max-keys")
    after = request.get("StartAfter", "")
    binding = ctx.key("Object", request["Bucket"])
    if (token := request.get("ContinuationToken")) is not None:
        after = _decoded(binding, token)
    page = await _objects(ctx, request, after, limit)
    owner = buckets.owner(ctx) if request.get("FetchOwner") else None
    answer: Wire = {
        "Name": request["Bucket"],
        "Prefix": spell(request.get("Prefix", "")),
        "MaxKeys": limit,
        "KeyCount": page.count,
        "IsTruncated": page.truncated,
        "Contents": [_listed(key, row, spell, owner) for key, row in page.items],
        "CommonPrefixes": [{"Prefix": spell(prefix)} for prefix in page.prefixes],
    }
    _echo(request, answer, spell, ("Delimiter",) if token else ("Delimiter", "StartAfter"))
    if token is not None:
        answer["ContinuationToken"] = token
    if page.truncated:
        answer["NextContinuationToken"] = encode_token(binding, page.last)
    return answer


def _decoded(binding: tuple[str, ...], token: str) -> str:
    try:
        return decode_token(binding, token)
    except BadTokenError:
        text = "The continuation token provided is incorrect"
        raise invalid_argument(text, "continuation-token") from None


@VERBS.operation("ListObjects")
async def list_objects(ctx: Ctx, request: Wire) -> Wire:
    """As ListObjectsV2, but pages start after a key (or common prefix) that the caller names."""
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    spell, limit = _encoding(request), _limit(request, "MaxKeys", "max-keys")
    page = await _objects(ctx, request, request.get("Marker", ""), limit)
    owner = buckets.owner(ctx)
    answer: Wire = {
        "Name": request["Bucket"],
        "Prefix": spell(request.get("Prefix", "")),
        "Marker": spell(request.get("Marker", "")),
        "MaxKeys": limit,
        "IsTruncated": page.truncated,
        "Contents": [_listed(key, row, spell, owner) for key, row in page.items],
        "CommonPrefixes": [{"Prefix": spell(prefix)} for prefix in page.prefixes],
    }
    _echo(request, answer, spell, ("Delimiter",))
    if page.truncated and request.get("Delimiter"):
        answer["NextMarker"] = spell(page.last)
    return answer


async def _objects(ctx: Ctx, request: Wire, after: str, limit: int) -> Page[Record]:
    below, prefix = ctx.key("Object", request["Bucket"]), request.get("Prefix", "")

    async def seek(position: str, wanted: int) -> Sequence[tuple[str, Record]]:
        start = (*below, position) if position else None
        rows = await ctx.store.scan(below, after=start, limit=wanted, starts=prefix)
        return [(row.key[-1], row) for row in rows]

    delimiter = request.get("Delimiter", "")
    return await walk(seek, prefix=prefix, delimiter=delimiter, after=_cut(after), limit=limit)


def _cut(after: str) -> str:
    """No key is longer than `KEY_BYTES_MAX`: what a longer start says beyond says nothing."""
    return after.encode()[:KEY_BYTES_MAX].decode(errors="ignore")


def _listed(key: str, row: Record, spell: Spell, owner: Wire | None) -> Wire:
    value = row.value
    found: Wire = {
        "Key": spell(key),
        "LastModified": int(value["LastModified"]),
        "ETag": value["ETag"],
        "Size": value["Size"],
        "StorageClass": value.get("StorageClass", options.STANDARD),
        "ChecksumType": value["Checksum"]["ChecksumType"],
    }
    if (checksum := checksums.of(value["Checksum"])) is not None:
        found["ChecksumAlgorithm"] = [checksum[0]]
    if owner is not None:
        found["Owner"] = owner
    return found


def _encoding(request: Wire) -> Spell:
    asked = request.get("EncodingType")
    if asked is None:
        return str
    if asked != "url":
        text = "Invalid Encoding Method specified in Request"
        raise invalid_argument(text, "encoding-type", asked)
    return url_encoded


def _limit(request: Wire, member: str, name: str, most: int = PAGE_MAX) -> int:
    asked = request.get(member, most)
    if not 0 <= asked <= 2_147_483_647:
        text = f"Argument {name} must be an integer between 0 and 2147483647"
        raise invalid_argument(text, name, asked)
    return min(int(asked), most)


def _echo(request: Wire, answer: Wire, spell: Spell, members: Sequence[str]) -> None:
    if "EncodingType" in request:
        answer["EncodingType"] = request["EncodingType"]
    for name in members:
        if name in request:
            answer[name] = spell(request[name])


@VERBS.operation("ListMultipartUploads")
async def list_multipart_uploads(ctx: Ctx, request: Wire) -> Wire:
    """One page of a bucket's uploads in progress: by key, then by when they began."""
    options.refuse(request)
    ctx = await buckets.home(ctx, request)
    spell, limit = _encoding(request), _limit(request, "MaxUploads", "max-uploads")
    key_marker, id_marker = request.get("KeyMarker", ""), request.get("UploadIdMarker", "")
    page = await walk(
        _uploads(ctx, request),
        prefix=request.get("Prefix", ""),
        delimiter=request.get("Delimiter", ""),
        after=f"{_cut(key_marker)}\0{id_marker or _LAST}" if key_marker else "",
        limit=limit,
        separator="\0",
    )
    last_key, last_id = _last_upload(page)
    answer: Wire = {
        "Bucket": request["Bucket"],
        "KeyMarker": spell(key_marker),
        "UploadIdMarker": id_marker if key_marker else "",
        "NextKeyMarker": spell(last_key),
        "NextUploadIdMarker": last_id,
        "MaxUploads": limit,
        "IsTruncated": page.truncated,
        "Uploads": [_upload(ctx, row, spell) for _, row in page.items],
        "CommonPrefixes": [{"Prefix": spell(prefix)} for prefix in page.prefixes],
    }
    _echo(request, answer, spell, ("Delimiter", "Prefix"))
    return answer


def _last_upload(page: Page[Record]) -> tuple[str, str]:
    """Where the next page starts: behind an upload, or a common prefix if the page ends so."""
    if page.truncated and page.prefixes and page.last == page.prefixes[-1]:
        return page.last, ""
    if not page.items:
        return "", ""
    key = page.items[-1][1].key
    return key[-2], key[-1]


_LAST = "\U0010ffff"
"""Above every upload id: a key marker alone passes by all uploads of that key."""


def _uploads(ctx: Ctx, request: Wire) -> Seek[Record]:
    """Uploads as a walk sees them: by key, NUL and id; a position may be a key alone."""
    below, prefix = ctx.key("Upload", request["Bucket"]), request.get("Prefix", "")

    async def seek(position: str, wanted: int) -> Sequence[tuple[str, Record]]:
        start = (*below, *position.split("\0")) if position else None
        rows = await ctx.store.scan(below, after=start, limit=wanted, starts=prefix)
        return [("\0".join(row.key[-2:]), row) for row in rows]

    return seek


def _upload(ctx: Ctx, row: Record, spell: Spell) -> Wire:
    value = row.value
    found: Wire = {
        "Key": spell(row.key[-2]),
        "UploadId": row.key[-1],
        "Initiated": int(value["Initiated"]),
        "StorageClass": value.get("StorageClass", options.STANDARD),
        "Owner": buckets.owner(ctx),
        "Initiator": value["Initiator"],
    }
    found |= {name: value[name] for name in ("ChecksumAlgorithm", "ChecksumType") if name in value}
    return found


@VERBS.operation("ListParts")
async def list_parts(ctx: Ctx, request: Wire) -> Wire:
    """One page of the parts of an upload, by number. Errors: NoSuchUpload, InvalidArgument."""
    ctx, upload = await multipart.find(ctx, request)
    limit = _limit(request, "MaxParts", "max-parts")
    marker = _limit(request, "PartNumberMarker", "part-number-marker", PARTS_MAX)
    marker = marker if "PartNumberMarker" in request else 0
    below = ctx.key("Part", request["Bucket"], request["UploadId"])
    rows = await ctx.store.scan(below, after=(*below, f"{marker:05d}"), limit=limit + 1)
    shown = rows[:limit]
    algorithm = upload.value.get("ChecksumAlgorithm")
    answer: Wire = {
        "Bucket": request["Bucket"],
        "Key": request["Key"],
        "UploadId": request["UploadId"],
        "PartNumberMarker": marker,
        "NextPartNumberMarker": shown[-1].value["PartNumber"] if shown else 0,
        "MaxParts": limit,
        "IsTruncated": len(rows) > limit > 0,
        "Parts": [_part(row.value, algorithm) for row in shown],
        "Initiator": upload.value["Initiator"],
        "Owner": buckets.owner(ctx),
        "StorageClass": upload.value.get("StorageClass", options.STANDARD),
    }
    if algorithm is not None:
        kind = upload.value["ChecksumType"]
        answer |= {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    return answer


def _part(value: Wire, algorithm: str | None) -> Wire:
    found = {name: value[name] for name in ("PartNumber", "ETag", "Size")}
    found["LastModified"] = int(value["LastModified"])
    if algorithm is not None:
        found[checksums.member(algorithm)] = value["_checksum"]
    return found
