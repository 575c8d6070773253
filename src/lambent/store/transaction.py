"""One transaction of the writer: the rows of a batch, what it knows of logs, and blob references.

Reference counts are summed per commit and settled at its end, so that a record which replaces
another one with the same blob never lets that blob go in between.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from lambent.store.protocol import Blob

SEQ_BITS = 36
"""An entry's row is (log id << 36 | seq): 2^27 logs of 2^36 entries each."""

LOGS_KNOWN_MAX = 65_536

_NONE = (0, None)


class LogHead(Struct):
    """Where a log's next entry goes."""

    base: int
    next: int


class Transaction:
    """The writer's view of its database within a batch; lives as long as the writer does.

    `pinned` and `blob_file` are asked about blobs. `freed` collects the files whose last reference
    went in this batch: they may be removed once it is durable; `forgotten` the small blobs.
    """

    def __init__(
        self,
        db: apsw.Connection,
        pinned: Callable[[bytes], bool],
        blob_file: Callable[[str], Path],
    ) -> None:
        self._run = db.cursor().execute
        self._pinned, self._blob_file = pinned, blob_file
        self._logs: dict[bytes, LogHead] = {}
        self._deltas: dict[bytes, int] = {}
        self._carried: dict[bytes, Blob] = {}
        self.freed: set[bytes] = set()
        self.forgotten: set[bytes] = set()
        self.kept: set[bytes] = set()

    def begin(self) -> None:
        """Start a batch."""
        if len(self._logs) > LOGS_KNOWN_MAX:
            self._logs.clear()
        self.freed, self.forgotten, self.kept = set(), set(), set()
        self._run("BEGIN IMMEDIATE")

    def forget(self) -> None:
        """The batch was rolled back: what was learnt in it is not so."""
        self._logs.clear()
        self._deltas.clear()
        self._carried.clear()
        self.freed, self.forgotten, self.kept = set(), set(), set()

    def write(self, sql: str, values: tuple[Any, ...]) -> None:
        """Run a statement that gives no rows."""
        self._run(sql, values)

    def rows(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        return self._run(sql, values).fetchall()

    def head(self, raw_key: bytes) -> tuple[int, bytes | None]:
        """Version and blob hashes of a record; version 0 if there is none."""
        for row in self._run("SELECT version, blobs FROM records WHERE key = ?", (raw_key,)):
            return row[0], row[1]
        return _NONE

    def log_head(self, name: bytes, *, create: bool = False) -> LogHead | None:
        """The head of a log; None if there is no such log and it is not to be made."""
        if (head := self._logs.get(name)) is not None:
            return head
        found = self.rows("SELECT id, next FROM logs WHERE name = ?", (name,))
        if not found and not create:
            return None
        if not found:
            found = self.rows(
                "INSERT INTO logs(name, next) VALUES(?, 1) RETURNING id, next", (name,)
            )
        log_id, upcoming = found[0]
        assert 0 < log_id < 1 << (63 - SEQ_BITS)
        base = log_id << SEQ_BITS
        # The counter is stored only by a trim; without one the last entry tells it.
        last = self.rows(_LAST, (base, base + (1 << SEQ_BITS)))[0][0]
        head = LogHead(base, max(upcoming, (last or base) - base + 1))
        self._logs[name] = head
        return head

    def trim_log(self, name: bytes, upto: int) -> None:
        """Drop the entries up to seq `upto`; the counter stays."""
        head = self.log_head(name)
        if head is not None and upto > 0:
            self.write("UPDATE logs SET next = ? WHERE name = ?", (head.next, name))
            last = min(upto, head.next)
            self.write(
                "DELETE FROM entries WHERE id > ? AND id <= ?", (head.base, head.base + last)
            )

    def drop_log(self, name: bytes) -> None:
        """Drop a log with its counter."""
        head = self.log_head(name)
        if head is not None:
            high = head.base + (1 << SEQ_BITS)
            self.write("DELETE FROM entries WHERE id > ? AND id < ?", (head.base, high))
            self.write("DELETE FROM logs WHERE name = ?", (name,))
            del self._logs[name]

    def check_blob(self, blob: Blob) -> None:
        """KeyError unless `blob` is stored, pinned or carries its data."""
        if blob.data is not None:
            return
        sha256 = bytes.fromhex(blob.sha256)
        if self.rows("SELECT 1 FROM blobs WHERE sha256 = ?", (sha256,)):
            return
        if not self._pinned(sha256) or not self._blob_file(blob.sha256).exists():
            raise KeyError(blob.sha256)

    def refer(self, sha256: bytes, by: int, blob: Blob | None = None) -> None:
        """Change the references of a blob, to be settled at the end of the commit."""
        self._deltas[sha256] = self._deltas.get(sha256, 0) + by
        if blob is not None and (blob.data is not None or sha256 not in self._carried):
            self._carried[sha256] = blob

    def settle(self) -> None:
        """Write the reference counts that a commit changed."""
        if not self._deltas:
            return
        for sha256, by in self._deltas.items():
            if by > 0:
                self._add_references(sha256, by)
            elif by < 0:
                self._drop_if_free(sha256, self.rows(_DROP_REFERENCES, (by, sha256)))
        self._deltas.clear()
        self._carried.clear()

    def _add_references(self, sha256: bytes, by: int) -> None:
        blob = self._carried[sha256]
        self.write(_ADD_REFERENCES, (sha256, blob.size_bytes, by, blob.data))

    def sweep(self, sha256: bytes) -> None:
        """Remove a blob's row if nothing refers to it, unless it is pinned: then remember it."""
        self._drop_if_free(
            sha256, self.rows("SELECT refs, data IS NULL FROM blobs WHERE sha256 = ?", (sha256,))
        )

    def _drop_if_free(self, sha256: bytes, found: list[tuple[Any, ...]]) -> None:
        if found and found[0][0] > 0:
            return
        if self._pinned(sha256):
            self.kept.add(sha256)
            return
        if found:
            self.write("DELETE FROM blobs WHERE sha256 = ?", (sha256,))
        if not found or found[0][1]:
            self.freed.add(sha256)
        else:
            self.forgotten.add(sha256)


_ADD_REFERENCES = """INSERT INTO blobs(sha256, size, refs, data) VALUES(?, ?, ?, ?)
    ON CONFLICT(sha256) DO UPDATE SET refs = refs + excluded.refs"""
_DROP_REFERENCES = """UPDATE blobs SET refs = refs + ? WHERE sha256 = ?
    RETURNING refs, data IS NULL"""
_LAST = "SELECT max(id) FROM entries WHERE id > ? AND id < ?"
