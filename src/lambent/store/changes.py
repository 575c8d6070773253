"""Changes as the database sees them: each one is encoded, checked, written, and then published.

`encode` runs in the caller's turn, so that a value which cannot be stored fails its own caller.
`check` reads what a change depends on and raises before anything of its commit is written: that is
why a commit that fails takes nothing of its batch with it, without a savepoint. `write` then cannot
fail but for the disk. `publish` tells the cache, once all is durable.
"""

from collections.abc import Callable
from typing import Any, Protocol

from lambent.store import keys
from lambent.store.cache import Cache
from lambent.store.protocol import (
    VALUE_BYTES_MAX,
    Append,
    Blob,
    Change,
    Conflict,
    Delete,
    Key,
    Put,
    Trim,
)
from lambent.store.rows import HASH_BYTES, encode_value, entry_crc, record_crc, split_hashes
from lambent.store.transaction import Transaction

Overlay = dict[bytes, tuple[int, bytes | None]]
"""Versions and references of the records that earlier changes of the same commit wrote."""

_NONE = (0, None)


class Operation(Protocol):
    """One encoded change; the methods are called in the order they have here."""

    size_bytes: int

    def check(self, tx: Transaction, overlay: Overlay | None) -> None:
        """Read what is needed; Conflict or KeyError if it may not be."""

    def write(self, tx: Transaction) -> int:
        """Make the change; the number that `commit` returns for it."""

    def publish(self, cache: Cache) -> None:
        """It is durable."""


class PutRecord:
    """Write one record."""

    __slots__ = ("change", "hashes", "held", "old", "raw", "raw_key", "size_bytes")

    def __init__(self, change: Put) -> None:
        self.change = change
        self.raw_key = keys.encode(change.key)
        self.raw = bounded(encode_value(change.value))
        self.hashes: bytes | None = None
        if change.blobs:
            self.hashes = b"".join([binary_hash(blob) for blob in change.blobs])
        self.size_bytes = len(self.raw_key) + len(self.raw) + carried(change.blobs)
        self.held = 0
        self.old: bytes | None = None

    def check(self, tx: Transaction, overlay: Overlay | None) -> None:
        """The version must be the expected one, and the blobs must be there."""
        version, self.old = _current(tx, overlay, self.raw_key)
        expect = self.change.expect
        if expect is not None and expect != version:
            raise Conflict(self.change.key)
        for blob in self.change.blobs:
            tx.check_blob(blob)
        self.held = version + 1
        if overlay is not None:
            overlay[self.raw_key] = (self.held, self.hashes)

    def write(self, tx: Transaction) -> int:
        """Write the row; its new version."""
        crc = record_crc(self.raw_key, self.held, self.raw, self.hashes)
        tx.write(_UPSERT, (self.raw_key, self.held, self.raw, crc, self.hashes))
        if self.hashes or self.old:
            for blob in self.change.blobs:
                tx.refer(bytes.fromhex(blob.sha256), 1, blob)
            for old in split_hashes(self.old):
                tx.refer(old, -1)
        return self.held

    def publish(self, cache: Cache) -> None:
        """The record is readable now."""
        cache.put(self.change.key, self.held, self.raw)


class DeleteRecord:
    """Remove one record."""

    __slots__ = ("change", "found", "old", "raw_key", "size_bytes")

    def __init__(self, change: Delete) -> None:
        self.change = change
        self.raw_key = keys.encode(change.key)
        self.size_bytes = len(self.raw_key)
        self.found = False
        self.old: bytes | None = None

    def check(self, tx: Transaction, overlay: Overlay | None) -> None:
        """The version must be the expected one."""
        version, self.old = _current(tx, overlay, self.raw_key)
        expect = self.change.expect
        if expect is not None and expect != version:
            raise Conflict(self.change.key)
        self.found = version > 0
        if overlay is not None:
            overlay[self.raw_key] = _NONE

    def write(self, tx: Transaction) -> int:
        """Remove the row, if there is one."""
        if self.found:
            tx.write("DELETE FROM records WHERE key = ?", (self.raw_key,))
            for old in split_hashes(self.old):
                tx.refer(old, -1)
        return 0

    def publish(self, cache: Cache) -> None:
        """The record is gone."""
        cache.drop(self.change.key)


class AppendEntry:
    """Add one entry to a log."""

    __slots__ = ("name", "size_bytes", "value")

    def __init__(self, change: Append) -> None:
        self.name = keys.encode(change.log)
        self.value = bounded(change.value)
        self.size_bytes = len(self.value) + len(self.name)

    def check(self, tx: Transaction, overlay: Overlay | None) -> None:
        """Nothing can stand against it."""

    def write(self, tx: Transaction) -> int:
        """Write the row; its seq."""
        head = tx.log_head(self.name, create=True)
        assert head is not None
        entry_id = head.base | head.next
        tx.write(_APPEND, (entry_id, entry_crc(entry_id, self.value), self.value))
        head.next += 1
        return head.next - 1

    def publish(self, cache: Cache) -> None:
        """Logs are not cached."""


class TrimLog:
    """Drop the oldest entries of a log, or the log."""

    __slots__ = ("change", "name", "size_bytes")

    def __init__(self, change: Trim) -> None:
        self.change = change
        self.name = keys.encode(change.log)
        self.size_bytes = len(self.name)

    def check(self, tx: Transaction, overlay: Overlay | None) -> None:
        """Nothing can stand against it."""

    def write(self, tx: Transaction) -> int:
        """Remove the rows, if there are any."""
        if self.change.upto is None:
            tx.drop_log(self.name)
        else:
            tx.trim_log(self.name, self.change.upto)
        return 0

    def publish(self, cache: Cache) -> None:
        """Logs are not cached."""


class ResetPrefix:
    """Remove all records and logs under a prefix."""

    __slots__ = ("high", "low", "size_bytes")

    def __init__(self, prefix: Key) -> None:
        self.low, self.high = keys.span(prefix)
        self.size_bytes = len(self.low)

    def check(self, tx: Transaction, overlay: Overlay | None) -> None:
        """Nothing can stand against it."""

    def write(self, tx: Transaction) -> int:
        """Remove the rows."""
        for hashes in tx.rows(_REFERRING, (self.low, self.high)):
            for old in split_hashes(hashes[0]):
                tx.refer(old, -1)
        tx.write("DELETE FROM records WHERE key >= ? AND key < ?", (self.low, self.high))
        for name in tx.rows(
            "SELECT name FROM logs WHERE name >= ? AND name < ?", (self.low, self.high)
        ):
            tx.drop_log(name[0])
        return 0

    def publish(self, cache: Cache) -> None:
        """Any record may be gone."""
        cache.clear()


class SweepBlob:
    """Remove a blob to which nothing refers and that nobody has pinned any more."""

    __slots__ = ("sha256", "size_bytes")

    def __init__(self, sha256: bytes) -> None:
        self.sha256 = sha256
        self.size_bytes = len(sha256)

    def check(self, tx: Transaction, overlay: Overlay | None) -> None:
        """It is looked at when it is written, after what the same batch changed before."""

    def write(self, tx: Transaction) -> int:
        """Remove the row, if that may be."""
        tx.sweep(self.sha256)
        return 0

    def publish(self, cache: Cache) -> None:
        """Blobs are not cached."""


_UPSERT = (
    "INSERT INTO records(key, version, value, crc, blobs) VALUES(?1, ?2, ?3, ?4, ?5) "
    "ON CONFLICT(key) DO UPDATE SET version = ?2, value = ?3, crc = ?4, blobs = ?5"
)
_APPEND = "INSERT INTO entries(id, crc, value) VALUES(?, ?, ?)"
_REFERRING = "SELECT blobs FROM records WHERE key >= ? AND key < ? AND blobs IS NOT NULL"

_ENCODERS: dict[type, Callable[[Any], Operation]] = {
    Put: PutRecord,
    Delete: DeleteRecord,
    Append: AppendEntry,
    Trim: TrimLog,
}


def encode(change: Change) -> Operation:
    """The operation of `change`; TypeError, ValueError or OverflowError if it cannot be stored."""
    return _ENCODERS[change.__class__](change)


def bounded(raw: bytes) -> bytes:
    """`raw`, unless it is not bytes (TypeError) or too long to be one value (ValueError)."""
    if raw.__class__ is not bytes:
        raise TypeError(f"a value must be bytes, not {type(raw).__name__}")
    if len(raw) > VALUE_BYTES_MAX:
        raise ValueError(f"a value of {len(raw)} bytes; at most {VALUE_BYTES_MAX} are allowed")
    return raw


def binary_hash(blob: Blob) -> bytes:
    """The hash of `blob` as the database has it; ValueError if it is none."""
    sha256 = bytes.fromhex(blob.sha256)
    if len(sha256) != HASH_BYTES:
        raise ValueError(f"not a SHA-256: {blob.sha256!r}")
    return sha256


def carried(blobs: tuple[Blob, ...]) -> int:
    """Bytes of the blobs that travel with a change."""
    return sum(len(blob.data) for blob in blobs if blob.data is not None)


def _current(tx: Transaction, overlay: Overlay | None, raw_key: bytes) -> tuple[int, bytes | None]:
    if overlay is not None and (known := overlay.get(raw_key)) is not None:
        return known
    return tx.head(raw_key)
