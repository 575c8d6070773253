"""Encoded changes: what each one weighs, and what is refused before it reaches a batch."""

import hashlib

import pytest

from lambent.store import changes
from lambent.store.protocol import VALUE_BYTES_MAX, Append, Blob, Delete, Put, Trim


def test_sizes_count_what_travels() -> None:
    data = b"x" * 1000
    blob = Blob(hashlib.sha256(data).hexdigest(), 1000, data)
    plain = changes.encode(Put(("a",), {"n": 1}))
    assert changes.encode(Put(("a",), {"n": 1}, blobs=(blob, blob))).size_bytes == (
        plain.size_bytes + 2000
    )
    assert changes.encode(Append(("a",), data)).size_bytes == 1002
    assert changes.encode(Delete(("a",))).size_bytes == changes.encode(Trim(("a",), 1)).size_bytes


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        changes.bounded(bytes(VALUE_BYTES_MAX + 1))
    with pytest.raises(TypeError, match="must be bytes, not bytearray"):
        changes.bounded(bytearray())  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not a SHA-256"):
        changes.binary_hash(Blob("ab", 1))
    with pytest.raises(ValueError, match="hexadecimal"):
        changes.binary_hash(Blob("xyz", 1))
