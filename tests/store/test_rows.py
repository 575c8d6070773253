"""Checksums cover every column; SQLite's errors become ours."""

import apsw
import pytest

from lambent.store.protocol import Corrupt, StoreFull
from lambent.store.rows import (
    decode_key,
    decode_record,
    entry_crc,
    record_crc,
    split_hashes,
    translate,
)


def test_a_checksum_covers_every_column() -> None:
    base = record_crc(b"key", 1, b"value", b"h" * 32)
    assert base != record_crc(b"kez", 1, b"value", b"h" * 32)
    assert base != record_crc(b"key", 2, b"value", b"h" * 32)
    assert base != record_crc(b"key", 1, b"valuf", b"h" * 32)
    assert base != record_crc(b"key", 1, b"value", b"i" * 32)
    assert base != record_crc(b"key", 1, b"value", None)
    assert entry_crc(1, b"v") != entry_crc(2, b"v")


def test_what_does_not_decode_is_corrupt() -> None:
    with pytest.raises(Corrupt, match=r"db.*does not decode.*'k'"):
        decode_record("db", ("k",), 1, b"\xc1")
    with pytest.raises(Corrupt, match="does not decode"):
        decode_record("db", ("k",), 1, b"\x01")
    with pytest.raises(Corrupt, match="does not decode"):
        decode_key("db", b"\xff")


def test_errors_in_our_words() -> None:
    assert isinstance(translate(apsw.CorruptError("x"), "db", "k"), Corrupt)
    assert isinstance(translate(apsw.NotADBError("x"), "db"), Corrupt)
    assert isinstance(translate(apsw.FullError("x"), "db"), StoreFull)
    damaged = apsw.IOError("x")
    damaged.extendedresult = apsw.SQLITE_IOERR_DATA  # type: ignore[attr-defined]
    assert isinstance(translate(damaged, "db"), Corrupt)
    assert isinstance(translate(apsw.IOError("x"), "db"), StoreFull)
    mistake = apsw.SQLError("x")
    assert translate(mistake, "db") is mistake


def test_hashes_are_split() -> None:
    assert split_hashes(None) == []
    assert split_hashes(b"a" * 32 + b"b" * 32) == [b"a" * 32, b"b" * 32]
