"""Checksums of content: computing, checking what a client claims, combining those of parts. Pure.

Every object has one. Where the client names no algorithm it is CRC64NVME, as on AWS. An object of
parts has either a checksum of its parts' checksums (COMPOSITE, with `-N` behind it) or that of all
its bytes (FULL_OBJECT); the CRCs of a whole follow from those of its parts, so no byte is read
again. awscrt brings what the standard library lacks, and is imported when it is first needed,
because that takes longer than answering a hundred requests.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import hashlib
import zlib
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any, Protocol

from lambent.base.errors import AwsError
from lambent.services.s3.errors import bad_digest, invalid_request

DEFAULT = "CRC64NVME"
COMPOSITE = "COMPOSITE"
FULL_OBJECT = "FULL_OBJECT"

_CRC_BYTES = {"CRC32": 4, "CRC32C": 4, "CRC64NVME": 8}
_DIGEST_BYTES = _CRC_BYTES | {
    "SHA1": 20,
    "SHA256": 32,
    "SHA512": 64,
    "MD5": 16,
    "XXHASH64": 8,
    "XXHASH3": 8,
    "XXHASH128": 16,
}
ALGORITHMS = tuple(_DIGEST_BYTES)
_MEMBERS = {f"Checksum{name}": name for name in ALGORITHMS}
_NAMED = (
    "Checksum algorithm provided is unsupported. "
    "Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"
)


class Hasher(Protocol):
    """A checksum in the making."""

    def update(self, data: bytes, /) -> object:
        """Take more bytes."""

    def digest(self) -> bytes:
        """The checksum so far, in network order."""


class _Crc:
    """A CRC that continues from chunk to chunk."""

    __slots__ = ("_bytes", "_step", "_value")

    def __init__(self, step: Callable[[bytes, int], int], size_bytes: int) -> None:
        self._step, self._bytes, self._value = step, size_bytes, 0

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""
        self._value = self._step(data, self._value)

    def digest(self) -> bytes:
        """The CRC so far."""
        return self._value.to_bytes(self._bytes, "big")


class _XxHash:
    """An XXHash of awscrt's."""

    __slots__ = ("_hash",)

    def __init__(self, made: Any) -> None:
        self._hash = made

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""
        self._hash.update(data)

    def digest(self) -> bytes:
        """The hash so far."""
        return bytes(self._hash.finalize())


@cache
def _crt() -> Any:
    from awscrt import checksums  # noqa: PLC0415 - 45 ms that a server without uploads is spared

    return checksums


def hasher(algorithm: str) -> Hasher:
    """A fresh checksum of `algorithm`, one of `ALGORITHMS`."""
    match algorithm:
        case "CRC32":
            return _Crc(zlib.crc32, 4)
        case "CRC32C":
            return _Crc(_crt().crc32c, 4)
        case "CRC64NVME":
            return _Crc(_crt().crc64nvme, 8)
        case "XXHASH64":
            return _XxHash(_crt().XXHash.new_xxhash64())
        case "XXHASH3":
            return _XxHash(_crt().XXHash.new_xxhash3_64())
        case "XXHASH128":
            return _XxHash(_crt().XXHash.new_xxhash3_128())
    return hashlib.new(algorithm.lower(), usedforsecurity=False)


def member(algorithm: str) -> str:
    """The member that carries a checksum: `ChecksumCRC32`."""
    return "Checksum" + algorithm


def encode(digest: bytes) -> str:
    """A checksum as members carry it."""
    return b64encode(digest).decode("ascii")


def decode(value: str) -> bytes:
    """The digest that a member carries."""
    return b64decode(value)


def of(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """(algorithm, value) of the checksum that a record or request carries."""
    for name, algorithm in _MEMBERS.items():
        if name in record:
            return algorithm, record[name]
    return None


def claimed(request: Mapping[str, Any]) -> tuple[str, str | None] | None:
    """(algorithm, value) that the headers of a request claim for its content; None if neither.

    The value is None when only the algorithm is named: the trailer then brings the value.
    Errors: InvalidRequest for several, malformed or unknown ones.
    """
    found = [(name, request[name]) for name in _MEMBERS if name in request]
    if len(found) > 1:
        raise invalid_request(
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
        )
    if found:
        name, value = found[0]
        return _MEMBERS[name], well_formed(_MEMBERS[name], value)
    named = request.get("ChecksumAlgorithm")
    return None if named is None else (known(named), None)


def known(algorithm: str) -> str:
    """`algorithm` in S3's spelling. Errors: InvalidRequest."""
    name = algorithm.upper()
    if name not in _DIGEST_BYTES:
        raise invalid_request(_NAMED)
    return name


def well_formed(algorithm: str, value: str) -> str:
    """`value`, if it can be a checksum of `algorithm`. Errors: InvalidRequest."""
    try:
        good = len(b64decode(value, validate=True)) == _DIGEST_BYTES[algorithm]
    except (Base64Error, ValueError):
        good = False
    if not good:
        header = f"x-amz-checksum-{algorithm.lower()}"
        raise invalid_request(f"Value for {header} header is invalid.")
    return value


def check(algorithm: str, expected: str, actual: str) -> None:
    """Errors: BadDigest when content does not have the checksum claimed for it."""
    if expected != actual:
        raise bad_digest(f"The {algorithm} you specified did not match the calculated checksum.")


def check_md5(header: str | None, actual: bytes) -> None:
    """Compare a Content-MD5 header. Errors: BadDigest (InvalidDigest: see `parse_md5`)."""
    if header is not None and b64decode(header) != actual:
        raise AwsError(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
            status=400,
            fields={"ExpectedDigest": b64decode(header).hex(), "CalculatedDigest": encode(actual)},
        )


def parse_md5(header: str | None) -> str | None:
    """A Content-MD5 header that is one. Errors: InvalidDigest."""
    if header is None:
        return None
    try:
        good = len(b64decode(header, validate=True)) == 16
    except (Base64Error, ValueError):
        good = False
    if not good:
        text = "The Content-MD5 you specified was invalid."
        raise AwsError("InvalidDigest", text, status=400, fields={"Content-MD5": header})
    return header


def upload_kind(algorithm: str | None, kind: str | None) -> tuple[str, str] | None:
    """(algorithm, type) of a multipart upload; None when it names none. Errors: InvalidRequest."""
    if algorithm is None:
        if kind is not None:
            raise invalid_request(
                "The x-amz-checksum-type header can only be used "
                "with the x-amz-checksum-algorithm header."
            )
        return None
    name = known(algorithm)
    kind = kind or (FULL_OBJECT if name == DEFAULT else COMPOSITE)
    fits = name != DEFAULT if kind == COMPOSITE else name in _CRC_BYTES
    if kind not in (COMPOSITE, FULL_OBJECT):
        raise invalid_request("Value for x-amz-checksum-type header is invalid.")
    if not fits:
        raise invalid_request(
            f"The {kind} checksum type cannot be used with the {name.lower()} checksum algorithm."
        )
    return name, kind


def composite(algorithm: str, digests: Iterable[bytes]) -> str:
    """The checksum of parts' checksums, with their number behind it."""
    made, count = hasher(algorithm), 0
    for digest in digests:
        made.update(digest)
        count += 1
    return f"{encode(made.digest())}-{count}"


def combined(algorithm: str, parts: Iterable[tuple[bytes, int]]) -> str:
    """The CRC of a whole from (CRC, size in bytes) of its consecutive parts."""
    combine = getattr(_crt(), f"combine_{algorithm.lower()}")
    whole = 0
    for digest, size_bytes in parts:
        whole = combine(whole, int.from_bytes(digest, "big"), size_bytes)
    return encode(int(whole).to_bytes(_CRC_BYTES[algorithm], "big"))
