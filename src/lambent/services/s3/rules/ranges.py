"""Byte ranges of an object: of a `Range` header, of a part, of a copy. Pure arithmetic.

S3 ignores a `Range` that it cannot read or that names several ranges, and serves the whole object.
Source: https://www.rfc-editor.org/rfc/rfc9110#name-range-requests, recordings of GetObject.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.services.s3.errors import invalid_argument, invalid_request

_RANGE = re.compile(r"bytes=\s*([0-9]*)\s*-\s*([0-9]*)\s*")
_COPY_RANGE = re.compile(r"bytes=([0-9]+)-([0-9]+)")
_COPY_TEXT = (
    "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last "
    "are the zero-based offsets of the first and last bytes to copy"
)


class Span(Struct, frozen=True):
    """`length` bytes from offset `start`."""

    start: int
    length: int

    def content_range(self, size_bytes: int) -> str:
        """The `Content-Range` header for this span of `size_bytes` bytes."""
        return f"bytes {self.start}-{self.start + self.length - 1}/{size_bytes}"


def parse_range(header: str, size_bytes: int) -> Span | None:
    """The span that a `Range` header asks for; None when the header is to be ignored.

    Errors: InvalidRange when no byte of it is in the object.
    """
    found = _RANGE.fullmatch(header)
    if found is None:
        return None
    first, last = found.groups()
    if not first:
        if not last:
            return None
        length = min(int(last), size_bytes)
        if not length:
            raise _invalid_range(header, size_bytes)
        return Span(size_bytes - length, length)
    start = int(first)
    stop = size_bytes if not last else min(int(last) + 1, size_bytes)
    if last and int(last) < start:
        return None
    if start >= size_bytes:
        raise _invalid_range(header, size_bytes)
    return Span(start, stop - start)


def part_span(number: int, sizes: Sequence[int]) -> Span:
    """Where part `number` (from 1) of an object lies. Errors: InvalidPartNumber."""
    if not 1 <= number <= len(sizes):
        raise AwsError(
            "InvalidPartNumber",
            "The requested partnumber is not satisfiable",
            status=416,
            fields={"ActualPartCount": len(sizes), "PartNumberRequested": number},
        )
    return Span(sum(sizes[: number - 1]), sizes[number - 1])


def parse_copy_range(header: str, size_bytes: int) -> Span:
    """The span that UploadPartCopy names. Errors: InvalidArgument, InvalidRequest."""
    found = _COPY_RANGE.fullmatch(header)
    first, last = (int(found[1]), int(found[2])) if found else (1, 0)
    if first > last:
        raise invalid_argument(_COPY_TEXT, "x-amz-copy-source-range", header)
    if first >= size_bytes:
        raise invalid_request("The specified copy range is invalid for the source object size")
    if last >= size_bytes:
        text = f"Range specified is not valid for source object of size: {size_bytes}"
        raise invalid_argument(text, "x-amz-copy-source-range", header)
    return Span(first, last - first + 1)


def pieces(span: Span, sizes: Sequence[int]) -> list[tuple[int, int, int]]:
    """(index, start, length) of what `span` covers of consecutive pieces of these sizes."""
    found = []
    offset = 0
    stop = span.start + span.length
    for index, size in enumerate(sizes):
        low, high = max(span.start, offset), min(stop, offset + size)
        if low < high:
            found.append((index, low - offset, high - low))
        offset += size
        if offset >= stop:
            break
    return found


def _invalid_range(header: str, size_bytes: int) -> AwsError:
    return AwsError(
        "InvalidRange",
        "The requested range is not satisfiable",
        status=416,
        fields={"RangeRequested": header, "ActualObjectSize": size_bytes},
    )
