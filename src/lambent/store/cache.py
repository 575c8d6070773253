"""Records in memory, least recently used out first, so that most `get`s touch no database.

It holds only what is durable: the store tells it of each change once the fsync is done. A record is
kept in its encoded form until it is first asked for, so that a value which the caller still changes
after its Put never shows, and records that are written but not read cost no decoding.
"""

from collections import OrderedDict
from collections.abc import Callable

from lambent.store.protocol import Key, Record

CACHE_RECORDS_MAX = 65_536
CACHE_BYTES_MAX = 64 * 1024 * 1024  # of encoded values; decoded ones take two to five times that

_Encoded = tuple[int, bytes]


class Cache:
    """A bounded map from key to record."""

    def __init__(
        self,
        decode: Callable[[Key, int, bytes], Record],
        *,
        records_max: int = CACHE_RECORDS_MAX,
        bytes_max: int = CACHE_BYTES_MAX,
    ) -> None:
        self._decode, self._records_max, self._bytes_max = decode, records_max, bytes_max
        self._entries: OrderedDict[Key, tuple[Record | _Encoded, int]] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size_bytes(self) -> int:
        """Encoded bytes of what is held."""
        return self._bytes

    def get(self, key: Key) -> Record | None:
        """The record, now the last to leave; None if it is not held."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        held = entry[0]
        if held.__class__ is Record:
            return held
        assert isinstance(held, tuple)
        record = self._decode(key, held[0], held[1])
        self._entries[key] = (record, entry[1])
        return record

    def put(self, key: Key, version: int, raw: bytes, record: Record | None = None) -> None:
        """Hold a record, encoded as `raw`; `record` if it is decoded already."""
        size = len(raw)
        if size > self._bytes_max >> 4:  # one huge value must not push everything else out
            self.drop(key)
            return
        old = self._entries.pop(key, None)
        self._entries[key] = (record or (version, raw), size)
        self._bytes += size - (old[1] if old else 0)
        while self._bytes > self._bytes_max or len(self._entries) > self._records_max:
            self._bytes -= self._entries.popitem(last=False)[1][1]

    def drop(self, key: Key) -> None:
        """Forget the record of `key`."""
        if old := self._entries.pop(key, None):
            self._bytes -= old[1]

    def clear(self) -> None:
        """Forget all."""
        self._entries.clear()
        self._bytes = 0
