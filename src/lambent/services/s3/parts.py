"""The parts of an object that was uploaded in parts, as its record keeps them. Pure.

One blob per part, in order; beside the blobs, for each part its number and its checksum's digest
(of the object's algorithm; absent where parts have none).
"""

import struct
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from lambent.services.s3 import content

_NUMBER = struct.Struct(">H")


class Part(Struct, frozen=True):
    """One part; `digest` is empty when parts have no checksum."""

    number: int
    size_bytes: int
    digest: bytes = b""


def pack(parts: Sequence[Part]) -> bytes:
    """Numbers and digests; the sizes are the blobs'."""
    return b"".join(_NUMBER.pack(part.number) + part.digest for part in parts)


def unpack(value: dict[str, Any]) -> list[Part]:
    """The parts of an object's record."""
    sizes, packed = content.sizes(value["_blobs"]), value["_parts"]
    step = len(packed) // len(sizes)
    return [
        Part(
            _NUMBER.unpack_from(packed, i * step)[0],
            size,
            packed[i * step + _NUMBER.size : (i + 1) * step],
        )
        for i, size in enumerate(sizes)
    ]
