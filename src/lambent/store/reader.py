"""Reads: always of what is durable, never of a batch that is under way.

They run on the loop's thread. While no batch is open they use the writer's connection, whose page
cache is warm; while a COMMIT is out in its thread they use a second one, which sees the state
before it. Every row's checksum is verified.
"""

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from lambent.store import keys
from lambent.store.cache import Cache
from lambent.store.protocol import Corrupt, Entry, Key, Record
from lambent.store.rows import decode_key, decode_record, entry_crc, record_crc, translate
from lambent.store.transaction import SEQ_BITS

Rows = list[tuple[Any, ...]]


class Reader:
    """The queries of one store."""

    def __init__(
        self, own: apsw.Connection, shared: apsw.Connection, busy: Callable[[], bool], file: str
    ) -> None:
        self._own, self._shared = own.cursor().execute, shared.cursor().execute
        self._busy, self._file = busy, file
        self.cache = Cache(lambda key, version, raw: decode_record(file, key, version, raw))

    def query(self, sql: str, values: tuple[Any, ...]) -> Rows:
        """All rows of `sql`, so that no read stays open; Corrupt, StoreFull."""
        try:
            return (self._own if self._busy() else self._shared)(sql, values).fetchall()
        except apsw.Error as error:
            raise translate(error, self._file, values) from error

    def get(self, key: Key) -> Record | None:
        """The record under `key`."""
        record = self.cache.get(key)
        if record is not None:
            return record
        raw_key = keys.sought(key)
        rows = self.query(_GET, (raw_key,))
        if not rows:
            return None
        version, raw, crc, hashes = rows[0]
        if record_crc(raw_key, version, raw, hashes) != crc:
            raise Corrupt(self._file, key, "a record's checksum is wrong")
        record = decode_record(self._file, key, version, raw)
        self.cache.put(key, version, raw, record)
        return record

    def scan(
        self, prefix: Key, after: Key | None, limit: int, *, reverse: bool, starts: str
    ) -> list[Record]:
        """A page of the records under `prefix` whose next part starts with `starts`."""
        low, high = keys.page(prefix, after, reverse=reverse, starts=starts)
        rows = self.query(_SCAN_BACK if reverse else _SCAN, (low, high, limit))
        return [self._record(*row) for row in rows]

    def _record(
        self, raw_key: bytes, version: int, raw: bytes, crc: int, hashes: bytes | None
    ) -> Record:
        key = decode_key(self._file, raw_key)
        if record_crc(raw_key, version, raw, hashes) != crc:
            raise Corrupt(self._file, key, "a record's checksum is wrong")
        return decode_record(self._file, key, version, raw)

    def count(self, prefix: Key) -> int:
        """How many records are under `prefix`."""
        found = self.query(_COUNT, keys.span(prefix))[0][0]
        assert isinstance(found, int)
        return found

    def read_log(self, log: Key, after: int, limit: int, *, reverse: bool) -> list[Entry]:
        """A page of a log."""
        found = self.query("SELECT id FROM logs WHERE name = ?", (keys.sought(log),))
        if not found:
            return []
        low = found[0][0] << SEQ_BITS
        high = low + (1 << SEQ_BITS)
        if reverse:
            rows = self.query(_ENTRIES_BACK, (low, low + after if after > 0 else high, limit))
        else:
            rows = self.query(_ENTRIES, (low + max(0, after), high, limit))
        return [self._entry(log, low, *row) for row in rows]

    def _entry(self, log: Key, low: int, entry_id: int, crc: int, value: bytes) -> Entry:
        if entry_crc(entry_id, value) != crc:
            raise Corrupt(self._file, (log, entry_id - low), "a log entry's checksum is wrong")
        return Entry(entry_id - low, value)

    def logs(self, prefix: Key, after: Key | None, limit: int) -> Sequence[Key]:
        """A page of the names of logs."""
        low, high = keys.page(prefix, after, reverse=False)
        return [decode_key(self._file, row[0]) for row in self.query(_LOGS, (low, high, limit))]


_GET = "SELECT version, value, crc, blobs FROM records WHERE key = ?"
_SCAN = (
    "SELECT key, version, value, crc, blobs FROM records "
    "WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
)
_SCAN_BACK = _SCAN.replace("ORDER BY key", "ORDER BY key DESC")
_COUNT = "SELECT count(*) FROM records WHERE key >= ? AND key < ?"
_ENTRIES = "SELECT id, crc, value FROM entries WHERE id > ? AND id < ? ORDER BY id LIMIT ?"
_ENTRIES_BACK = _ENTRIES.replace("ORDER BY id", "ORDER BY id DESC")
_LOGS = "SELECT name FROM logs WHERE name >= ? AND name < ? ORDER BY name LIMIT ?"
