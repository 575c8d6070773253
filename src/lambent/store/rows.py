"""What a row holds: encoded values with their checksums, and SQLite's errors in our words.

Pages carry checksums too (see `schema.py`); the one in the row also covers what happens between the
page and us, and lets the in-memory mode and `verify` use the same check.
"""

from zlib import crc32

import apsw
import msgspec

from lambent.store import keys
from lambent.store.protocol import Corrupt, Key, Record, StoreFull, Value

HASH_BYTES = 32
encode_value = msgspec.msgpack.Encoder().encode
_decode_value = msgspec.msgpack.Decoder(dict).decode

_DAMAGE = {
    apsw.SQLITE_IOERR_DATA: "a page's checksum is wrong",
    apsw.SQLITE_IOERR_SHORT_READ: "the file is shorter than it should be",
    apsw.SQLITE_IOERR_CORRUPTFS: "the file system reports damage",
}
_OUT_OF_ORDER = (apsw.FullError, apsw.IOError, apsw.ReadOnlyError, apsw.CantOpenError)


def record_crc(raw_key: bytes, version: int, raw: bytes, hashes: bytes | None) -> int:
    """The checksum over all columns of a record's row."""
    crc = crc32(raw, crc32(raw_key, version & 0xFFFFFFFF))
    return crc32(hashes, crc) if hashes else crc


def entry_crc(entry_id: int, value: bytes) -> int:
    """The checksum over all columns of a log entry's row."""
    return crc32(value, entry_id & 0xFFFFFFFF)


def decode_record(file: str, key: Key, version: int, raw: bytes) -> Record:
    """The record of an encoded value whose checksum was right."""
    try:
        value: Value = _decode_value(raw)
    except msgspec.DecodeError as error:
        raise Corrupt(file, key, f"the record does not decode: {error}") from error
    return Record(key, version, value)


def decode_key(file: str, raw_key: bytes) -> Key:
    """The key of a row; Corrupt if its bytes are no key."""
    try:
        return keys.decode(raw_key)
    except ValueError as error:
        raise Corrupt(file, raw_key, "the row's key does not decode") from error


def translate(error: apsw.Error, file: str, key: object = None) -> Exception:
    """SQLite's `error` as ours: Corrupt, StoreFull, or itself when it is a mistake of ours."""
    if isinstance(error, apsw.CorruptError | apsw.NotADBError):
        return Corrupt(file, key, f"the database is damaged: {error}")
    extended = getattr(error, "extendedresult", 0)
    if why := _DAMAGE.get(extended):
        return Corrupt(file, key, why)
    if isinstance(error, _OUT_OF_ORDER):
        return StoreFull(f"{file}: {error} (SQLite {extended})")
    return error


def split_hashes(hashes: bytes | None) -> list[bytes]:
    """The blob hashes in a record's `blobs` column."""
    if not hashes:
        return []
    return [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
