"""aws-chunked bodies: S3 uploads that are signed, or followed by a checksum, piece by piece.

`size;chunk-signature=...` lines frame the data; after the last, empty chunk come trailers. Each
chunk's signature covers the one before it, the first the request's own, so that chunks cannot be
moved. Data is handed on as it arrives and checked at the end of its chunk: a consumer must not
commit before the iterator ends. Lines and trailers are bounded.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
"""

from collections.abc import AsyncIterator
from hashlib import sha256
from hmac import compare_digest, digest

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.net import Body, BodyTooLarge, Request
from lambent.wire.sigv4 import EMPTY_SHA256, Credential, signing_key

LINE_MAX = 4096
"""Bytes in a chunk's head or a trailer."""
TRAILERS_MAX = 32
CHUNK_MAX = 5 * 1024**3
"""Bytes in one chunk: no more than an upload may have."""


class ChunkKey(Struct, frozen=True):
    """What the chunks of one upload are signed with; `seed` is the request's own signature."""

    key: bytes
    timestamp: str
    scope: str
    seed: str

    @classmethod
    def of(cls, credential: Credential, secret: str) -> "ChunkKey":
        """The key of the upload that `credential` signed."""
        key = signing_key(secret, credential.date, credential.region, credential.service)
        return cls(key, credential.timestamp, credential.scope, credential.signature)

    def sign(self, kind: str, previous: str, *digests: str) -> str:
        """The signature of a chunk (`PAYLOAD`) or of the trailers (`TRAILER`)."""
        head = f"AWS4-HMAC-SHA256-{kind}", self.timestamp, self.scope, previous
        return digest(self.key, "\n".join((*head, *digests)).encode(), "sha256").hex()


def is_chunked(request: Request) -> bool:
    """Whether the body is aws-chunked."""
    return request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-") or (
        "aws-chunked" in request.headers.get("content-encoding", "")
    )


class ChunkedBody:
    """A `Body` over an aws-chunked one: its data alone. `trailers` are set when it has ended.

    With `key` the chunks must be signed; without, signatures are passed over. Errors (AwsError):
    IncompleteBody, InvalidRequest, SignatureDoesNotMatch, InvalidChunkSizeError.
    """

    def __init__(self, body: Body, length: int | None, key: ChunkKey | None = None) -> None:
        self.length = length
        self.trailers: dict[str, str] = {}
        self._source = body.chunks()
        self._key = key
        self._previous = key.seed if key else ""
        self._buffer = bytearray()

    @classmethod
    def of(cls, request: Request, body: Body, key: ChunkKey | None = None) -> "ChunkedBody":
        """The decoded body of `request`; unsigned chunks ignore `key`."""
        text = request.headers.get("x-amz-decoded-content-length", "")
        if text and not (text.isascii() and text.isdigit() and len(text) < 16):
            raise AwsError("InvalidArgument", "Invalid x-amz-decoded-content-length", status=400)
        kind = request.headers.get("x-amz-content-sha256", "")
        signed = kind.startswith("STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        return cls(body, int(text) if text else None, key if signed else None)

    async def read(self, limit_bytes: int) -> bytes:
        """The whole data; BodyTooLarge beyond the limit."""
        if self.length is not None and self.length > limit_bytes:
            raise BodyTooLarge
        data = bytearray()
        async for piece in self.chunks():
            data += piece
            if len(data) > limit_bytes:
                raise BodyTooLarge
        return bytes(data)

    async def chunks(self) -> AsyncIterator[bytes]:
        """The data as it arrives."""
        total = 0
        while True:
            size, signature = _chunk_head(await self._line())
            hasher = sha256() if self._key is not None else None
            left = size
            while left:
                piece = await self._some(left)
                left -= len(piece)
                total += len(piece)
                if self.length is not None and total > self.length:
                    raise _incomplete()
                if hasher is not None:
                    hasher.update(piece)
                yield piece
            if hasher is not None:
                self._check(signature, "PAYLOAD", EMPTY_SHA256, hasher.hexdigest())
            if not size:
                break
            if await self._line():
                raise AwsError("InvalidRequest", "A chunk is longer than it says.", status=400)
        if self.length is not None and total != self.length:
            raise _incomplete()
        await self._read_trailers()

    async def _read_trailers(self) -> None:
        signed, signature = [], ""
        for _ in range(TRAILERS_MAX):
            line = await self._line(at_end=True)
            if not line:
                break
            name, colon, value = line.partition(":")
            if not colon:
                raise AwsError("MalformedTrailerError", _MALFORMED_TRAILER, status=400)
            name, value = name.strip().lower(), value.strip()
            if name == "x-amz-trailer-signature":
                signature = value
                continue
            self.trailers[name] = value
            signed.append(f"{name}:{value}\n")
        else:
            raise AwsError("MalformedTrailerError", _MALFORMED_TRAILER, status=400)
        if self._key is not None and (signature or signed):
            self._check(signature, "TRAILER", sha256("".join(signed).encode()).hexdigest())

    def _check(self, signature: str, kind: str, *digests: str) -> None:
        assert self._key is not None
        wanted = self._key.sign(kind, self._previous, *digests)
        if not compare_digest(wanted.encode(), signature.encode()):
            text = (
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method."
            )
            raise AwsError("SignatureDoesNotMatch", text, status=403)
        self._previous = signature

    async def _more(self) -> bool:
        async for piece in self._source:
            self._buffer += piece
            return True
        return False

    async def _some(self, limit: int) -> bytes:
        if not self._buffer and not await self._more():
            raise _incomplete()
        piece = bytes(self._buffer[:limit])
        del self._buffer[:limit]
        return piece

    async def _line(self, *, at_end: bool = False) -> str:
        while (end := self._buffer.find(b"\r\n", 0, LINE_MAX)) < 0:
            if len(self._buffer) >= LINE_MAX:
                raise AwsError("InvalidRequest", "A chunk's head is too long.", status=400)
            if not await self._more():
                if at_end and not self._buffer:
                    return ""
                raise _incomplete()
        line = self._buffer[:end].decode("latin-1")
        del self._buffer[: end + 2]
        return line


_MALFORMED_TRAILER = "The request contained trailing data that was not well-formed"


def _incomplete() -> AwsError:
    text = "You did not provide the number of bytes specified by the Content-Length HTTP header."
    return AwsError("IncompleteBody", text, status=400)


def _chunk_head(line: str) -> tuple[int, str]:
    size, _, extension = line.partition(";")
    digits = size.strip()
    if not digits or len(digits) > 16 or not all(c in "0123456789abcdefABCDEF" for c in digits):
        raise AwsError("InvalidRequest", "A chunk's head has no size.", status=400)
    if int(digits, 16) > CHUNK_MAX:
        raise AwsError("InvalidChunkSizeError", "A chunk is too large.", status=400)
    return int(digits, 16), extension.partition("chunk-signature=")[2].strip()
