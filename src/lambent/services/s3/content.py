"""Content on its way in and out: a body to blobs, blobs to a body. Memory stays a few pieces.

What a client sends is hashed once while it streams (MD5 for the ETag, the checksums asked for; the
store adds SHA-256) and small content goes with the record's own commit instead of into a file. An
object is a list of blobs, one per part, so that completing a multipart upload copies nothing:
`pack` and `unpack` keep the list in the record as 40 bytes a blob.
"""

import hashlib
import struct
from collections.abc import AsyncIterator, Iterable, Sequence

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.net import Body, BytesBody
from lambent.services.s3.errors import invalid_request
from lambent.services.s3.limits import PUT_BYTES_MAX
from lambent.services.s3.rules import checksums
from lambent.services.s3.rules.ranges import Span, pieces
from lambent.store.protocol import SMALL_BLOB_BYTES, Blob

_BLOB = struct.Struct(">32sQ")
_NOT_FOUND = (
    "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* "
    "or x-amz-trailer headers were found."
)


class Received(Struct):
    """Content that has come in and was checked. `checksums` are by algorithm, encoded.

    `release` must be called once a record refers to the blob, or none will.
    """

    blob: Blob
    md5: bytes
    checksums: dict[str, str]
    claimed: str | None
    """The algorithm of the checksum that the client sent."""
    pinned: bool

    @property
    def etag(self) -> str:
        """The ETag of content that was sent in one piece."""
        return f'"{self.md5.hex()}"'

    def release(self, ctx: Ctx) -> None:
        """Leave the blob to the records that refer to it."""
        if self.pinned:
            self.pinned = False
            ctx.store.blobs.release(self.blob.sha256)


class Digests:
    """The hashes of one content in the making."""

    __slots__ = ("_hashers", "_md5")

    def __init__(self, algorithms: Sequence[str]) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashers = [(name, checksums.hasher(name)) for name in algorithms]

    def update(self, data: bytes) -> None:
        """Take more bytes."""
        self._md5.update(data)
        for _, hasher in self._hashers:
            hasher.update(data)

    @property
    def md5(self) -> bytes:
        """The MD5 of all bytes."""
        return self._md5.digest()

    def encoded(self) -> dict[str, str]:
        """The checksums by algorithm, as members carry them."""
        return {name: checksums.encode(hasher.digest()) for name, hasher in self._hashers}


async def receive(
    ctx: Ctx, request: Wire, claim: tuple[str, str | None] | None, algorithms: Sequence[str]
) -> Received:
    """Take in a request's `Body`, hashing it by `algorithms`, and hold it to what it claims.

    Errors: MissingContentLength, EntityTooLarge, InvalidDigest, BadDigest, InvalidRequest, and what
    reading raises (BodyTruncated).
    """
    body = request.get("Body", b"")
    if isinstance(body, bytes | str):
        body = BytesBody(body.encode() if isinstance(body, str) else body)
    md5 = checksums.parse_md5(request.get("ContentMD5"))
    length = _length(body)
    digests = Digests(algorithms)
    if length <= SMALL_BLOB_BYTES:
        data = await body.read(SMALL_BLOB_BYTES)
        digests.update(data)
        blob = ctx.store.blobs.small(data)
    else:
        blob = await _stream(ctx, body, digests)
    received = Received(
        blob, digests.md5, digests.encoded(), claim[0] if claim else None, blob.data is None
    )
    try:
        checksums.check_md5(md5, received.md5)
        if claim is not None:
            _hold(claim, received, body)
        elif body.trailers:
            await _hold_trailer(ctx, received, body)
    except AwsError:
        received.release(ctx)
        raise
    return received


def _length(body: Body) -> int:
    length = body.length
    if length is None:
        text = "You must provide the Content-Length HTTP header."
        raise AwsError("MissingContentLength", text, status=411)
    if length > PUT_BYTES_MAX:
        text = "Your proposed upload exceeds the maximum allowed size"
        fields = {"ProposedSize": length, "MaxSizeAllowed": PUT_BYTES_MAX}
        raise AwsError("EntityTooLarge", text, status=400, fields=fields)
    return length


async def _stream(ctx: Ctx, body: Body, digests: Digests) -> Blob:
    writer = ctx.store.blobs.writer()
    try:
        async for chunk in body.chunks():
            digests.update(chunk)
            await writer.write(chunk)
        return await writer.finish()
    finally:
        writer.close()


def _hold(claim: tuple[str, str | None], received: Received, body: Body) -> None:
    """The checksum that headers or trailer claim must be the content's."""
    algorithm, value = claim
    if value is None:
        value = body.trailers.get(f"x-amz-checksum-{algorithm.lower()}")
        if value is None:
            raise invalid_request(_NOT_FOUND)
        checksums.well_formed(algorithm, value)
    checksums.check(algorithm, value, received.checksums[algorithm])


async def _hold_trailer(ctx: Ctx, received: Received, body: Body) -> None:
    """A checksum that only a trailer announced: what was not computed on the way is so now."""
    for algorithm in checksums.ALGORITHMS:
        if f"x-amz-checksum-{algorithm.lower()}" not in body.trailers:
            continue
        if algorithm not in received.checksums:
            blob, hasher = received.blob, checksums.hasher(algorithm)
            if blob.data is not None:
                hasher.update(blob.data)
            else:
                async for piece in ctx.store.blobs.chunks(blob.sha256):
                    hasher.update(piece)
            received.checksums[algorithm] = checksums.encode(hasher.digest())
        received.claimed = algorithm
        _hold((algorithm, None), received, body)
        return


def pack(blobs: Iterable[Blob]) -> bytes:
    """Blobs as a record keeps them."""
    return b"".join(_BLOB.pack(bytes.fromhex(blob.sha256), blob.size_bytes) for blob in blobs)


def unpack(packed: bytes) -> list[Blob]:
    """The blobs that a record keeps."""
    return [Blob(sha256.hex(), size) for sha256, size in _BLOB.iter_unpack(packed)]


def sizes(packed: bytes) -> list[int]:
    """The sizes of the blobs that a record keeps."""
    return [size for _, size in _BLOB.iter_unpack(packed)]


async def read(ctx: Ctx, packed: bytes, span: Span) -> AsyncIterator[bytes]:
    """The bytes of `span`, in pieces. All blobs of it are kept while the iteration lasts."""
    blobs = ctx.store.blobs
    held = unpack(packed)
    wanted = [(held[i].sha256, start, n) for i, start, n in pieces(span, sizes(packed))]
    for sha256, _, _ in wanted:
        blobs.pin(sha256)
    try:
        for sha256, start, length in wanted:
            async for piece in blobs.chunks(sha256, start, length):
                yield piece
    finally:
        for sha256, _, _ in wanted:
            blobs.release(sha256)
