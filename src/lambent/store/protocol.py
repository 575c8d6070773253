"""The three storage shapes and the one way to change them.

*Records* are values under ordered keys with a version for compare-and-set. *Logs* are append-only
sequences with gapless-enough, rising numbers. *Blobs* are byte strings named by their SHA-256.
A `commit` changes any number of records and logs atomically and returns only once that is durable.

Keys are tuples of strings that start with (account, region, service, noun): tenancy lives here,
once. They are ordered by the UTF-8 bytes of their parts, so a scan of S3 keys is in S3's order.
Values are trees of dict, list, str, int, float, bool, bytes and None, stored under wire names.
A value that was read is shared and must not be changed: build a new one.
"""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Protocol

from msgspec import Struct

Key = tuple[str, ...]
Value = dict[str, Any]

ABSENT = 0
"""As `expect`: the record must not exist."""

SMALL_BLOB_BYTES = 64 * 1024
"""Largest blob that travels in `Blob.data` and lives in the database; larger ones are files."""

VALUE_BYTES_MAX = 32 * 1024 * 1024
"""Largest record (encoded) or log entry; ValueError above it."""


class Record(Struct, frozen=True):
    """A stored value; `version` rises by one with each change of this key, from 1.

    After a Delete the numbering starts again, so a version says nothing across one.
    """

    key: Key
    version: int
    value: Value


class Entry(Struct, frozen=True):
    """One element of a log; `seq` starts at 1 and rises by one for each append."""

    seq: int
    value: bytes


class Blob(Struct, frozen=True):
    """Content by its hash. `data` is there for small blobs not yet stored: the commit that
    first refers to them writes them, in the same transaction."""

    sha256: str  # hex
    size_bytes: int
    data: bytes | None = None


class Put(Struct, frozen=True):
    """Write a record. `expect`: the version it must have now (`ABSENT`: none); None: any.

    `blobs` are all the blobs that this record refers to; a blob lives as long as a record does.
    The value is encoded when `post`, or `commit` once it is awaited, begins: what the caller
    changes in it later is not stored.
    """

    key: Key
    value: Value
    expect: int | None = None
    blobs: tuple[Blob, ...] = ()


class Delete(Struct, frozen=True):
    """Remove a record (and its references); with `expect` set it must have that version."""

    key: Key
    expect: int | None = None


class Append(Struct, frozen=True):
    """Add `value` to the end of a log, which need not exist before."""

    log: Key
    value: bytes


class Trim(Struct, frozen=True):
    """Drop the entries of a log up to and including `upto`; None drops the log with its counter."""

    log: Key
    upto: int | None


Change = Put | Delete | Append | Trim


class Conflict(Exception):  # noqa: N818 - named for what happened
    """An `expect` did not hold; nothing of that commit was applied."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"version conflict at {key}")
        self.key = key


class StoreFull(Exception):  # noqa: N818 - as above
    """The disk is full or failed; nothing of that commit was applied."""


class Corrupt(Exception):  # noqa: N818 - as above
    """Stored bytes are not what was written; the text names the file and the key."""

    def __init__(self, file: object, key: object, why: str) -> None:
        super().__init__(f"{file}: {why} (key: {key}); `lambent doctor` checks the whole store")
        self.file = str(file)
        self.key = key


class Stats(Struct, frozen=True):
    """Counters of one store since it was opened, and its sizes now."""

    records: int
    db_bytes: int
    wal_bytes: int
    commits: int  # commit calls and posts that were applied
    batches: int  # transactions, each with one fsync
    checkpoints: int
    fsync_ms: float  # moving average of the time that making a batch durable takes
    posts_dropped: int


class BlobWriter(Protocol):
    """Streams one blob in. Closing without `finish` leaves nothing behind."""

    async def write(self, chunk: bytes) -> None:
        """Add bytes."""

    async def finish(self) -> Blob:
        """Make it durable and name it. It is pinned: `release` it once a record refers to it."""

    def close(self) -> None:
        """Discard unless finished; idempotent."""


class Blobs(Protocol):
    """Content-addressed byte strings."""

    def small(self, data: bytes) -> Blob:
        """A blob from bytes at hand that the commit will write; for at most `SMALL_BLOB_BYTES`."""

    def writer(self) -> BlobWriter:
        """Start to stream a blob in."""

    async def read(self, sha256: str) -> bytes:
        """A whole blob, its hash verified; KeyError if there is none, Corrupt if it is damaged."""

    def chunks(
        self, sha256: str, start: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """A range of a blob, in pieces of at most 1 MiB; KeyError if there is none.

        The content is kept while the iteration lasts. One that covers the whole blob gives its
        last piece only once the hash was right, else Corrupt.
        """

    def pin(self, sha256: str) -> None:
        """Keep a blob that is there now while it is being read or before it is referred to."""

    def release(self, sha256: str) -> None:
        """Undo one `pin` (or the one that `finish` took)."""


class Store(Protocol):
    """All state of one server (or, later, of one cluster)."""

    blobs: Blobs

    async def get(self, key: Key) -> Record | None:
        """The record under `key`."""

    async def scan(
        self,
        prefix: Key,
        *,
        after: Key | None = None,
        limit: int = 1000,
        reverse: bool = False,
        starts: str = "",
    ) -> list[Record]:
        """Records whose key starts with the parts of `prefix`, in key order, after key `after`.

        With `starts`, only those whose next part starts with it; `after` is still a whole key.
        """

    async def count(self, prefix: Key) -> int:
        """How many records `scan` would give without a limit. O(n)."""

    async def commit(self, *changes: Change) -> list[int]:
        """Apply all or nothing, durably.

        Returns one number per change: the new version of a Put, the seq of an Append, else 0.
        The changes of one call take effect in order: a second Put of a key sees the first. With
        no changes it waits until everything posted before is durable. Cancelling the wait does
        not undo the changes.
        Errors: Conflict, StoreFull, Corrupt; KeyError (of the hash) when a Put refers to a blob
        that is neither stored nor pinned nor carried in `Blob.data`; TypeError, ValueError or
        OverflowError when a key or value cannot be encoded.
        """

    def post(self, *changes: Change) -> None:
        """Apply soon, with the next group commit, in order; nobody waits for it.

        For what was promised to nobody (log lines of an invocation). Lost by a crash at most
        0.1 s after the call. When too much is waiting, the oldest posts are dropped and counted.
        """

    async def read_log(
        self, log: Key, *, after: int = 0, limit: int = 1000, reverse: bool = False
    ) -> list[Entry]:
        """Entries with seq > `after` in order (reverse: the newest first, `after` ignored if 0,
        else entries with seq < `after`)."""

    async def logs(
        self, prefix: Key, *, after: Key | None = None, limit: int = 1000
    ) -> Sequence[Key]:
        """Names of the logs that start with `prefix`, in order."""

    async def reset(self, prefixes: Sequence[Key]) -> None:
        """Delete all records and logs under each of `prefixes`, in one commit. O(n), and the loop
        waits for it: meant for tests and for taking an account away."""

    async def verify(self) -> list[str]:
        """Check every page, record, entry and blob; what is wrong, one line each. Reads it all."""

    async def stats(self) -> Stats:
        """Counters and sizes. O(records)."""

    async def close(self) -> None:
        """Finish what is waiting and release the data folder. Idempotent."""
