"""Checksums of bodies, fed piece by piece: S3's `x-amz-checksum-*` and `Content-MD5`.

CRC-32C and CRC-64/NVME come from awscrt (0.1 ns a byte), whose import costs 50 ms and 5 MB: it is
loaded when the first body asks for one of them, not when the server starts.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html
"""

import hashlib
import zlib
from base64 import b64encode
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Protocol, cast


class Checksum(Protocol):
    """A running checksum."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def digest(self) -> bytes:
        """The checksum so far, big-endian where it is a number."""


class _Crc:
    """A running CRC by a function of (data, checksum so far)."""

    def __init__(self, add: Callable[[bytes, int], int], size: int) -> None:
        self._add, self._size, self._value = add, size, 0

    def update(self, data: bytes) -> None:
        self._value = self._add(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size, "big")


@cache
def _crt(name: str) -> Callable[[bytes, int], int]:
    return cast(Callable[[bytes, int], int], getattr(import_module("awscrt.checksums"), name))


_MAKERS: dict[str, Callable[[], Checksum]] = {
    "CRC32": lambda: _Crc(zlib.crc32, 4),
    "CRC32C": lambda: _Crc(_crt("crc32c"), 4),
    "CRC64NVME": lambda: _Crc(_crt("crc64nvme"), 8),
    "MD5": lambda: hashlib.md5(usedforsecurity=False),
    "SHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
}
ALGORITHMS = tuple(_MAKERS)
"""The algorithms known, by the names that service models give them."""


def checksum(algorithm: str) -> Checksum:
    """A new running checksum; KeyError for an algorithm that is not in ALGORITHMS."""
    return _MAKERS[algorithm]()


def encoded(data: bytes, algorithm: str) -> str:
    """The checksum of `data` as headers carry it: base64."""
    running = checksum(algorithm)
    running.update(data)
    return b64encode(running.digest()).decode("ascii")
