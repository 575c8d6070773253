"""The full check of a store: every page, row and blob. Slow on purpose; for `lambent doctor`."""

import hashlib

import apsw

from lambent.store.folder import Folder
from lambent.store.protocol import Corrupt
from lambent.store.rows import decode_key, decode_record, entry_crc, record_crc, translate

_PIECE_BYTES = 1024 * 1024


def verify(db: apsw.Connection, folder: Folder) -> list[str]:
    """What is wrong, one line each; an empty list means that all is well."""
    file = str(folder.database or ":memory:")
    wrong: list[str] = []
    for check in (_pages, _records, _entries, _references, _blobs):
        try:
            wrong += check(db, file, folder)
        except apsw.Error as error:
            wrong.append(str(translate(error, file)))
    return wrong


def _pages(db: apsw.Connection, file: str, _folder: Folder) -> list[str]:
    found = [row[0] for row in db.execute("PRAGMA integrity_check(20)")]
    return [f"{file}: {text}" for text in found if text != "ok"]


def _records(db: apsw.Connection, file: str, _folder: Folder) -> list[str]:
    wrong = []
    for raw_key, held, raw, crc, hashes in db.execute(
        "SELECT key, version, value, crc, blobs FROM records"
    ):
        try:
            key = decode_key(file, raw_key)
            decode_record(file, key, held, raw)
        except Corrupt as error:
            wrong.append(str(error))
            continue
        if record_crc(raw_key, held, raw, hashes) != crc:
            wrong.append(f"{file}: a record's checksum is wrong (key: {key})")
    return wrong


def _entries(db: apsw.Connection, file: str, _folder: Folder) -> list[str]:
    rows = db.execute("SELECT id, crc, value FROM entries")
    return [
        f"{file}: a log entry's checksum is wrong (row {entry_id})"
        for entry_id, crc, value in rows
        if entry_crc(entry_id, value) != crc
    ]


def _references(db: apsw.Connection, file: str, _folder: Folder) -> list[str]:
    counted: dict[bytes, int] = {}
    for (hashes,) in db.execute("SELECT blobs FROM records WHERE blobs IS NOT NULL"):
        for at in range(0, len(hashes), 32):
            counted[hashes[at : at + 32]] = counted.get(hashes[at : at + 32], 0) + 1
    wrong = []
    for sha256, refs in db.execute("SELECT sha256, refs FROM blobs"):
        if (found := counted.pop(sha256, 0)) != refs:
            wrong.append(f"{file}: blob {sha256.hex()} has {found} references and counts {refs}")
    return wrong + [
        f"{file}: blob {sha256.hex()} is referred to and not there" for sha256 in counted
    ]


def _blobs(db: apsw.Connection, file: str, folder: Folder) -> list[str]:
    wrong = []
    for sha256, data in db.execute("SELECT sha256, data FROM blobs"):
        digest = hashlib.sha256(data or b"")
        where = file
        if data is None:
            path = folder.blob(sha256.hex())
            where = str(path)
            try:
                with path.open("rb") as source:
                    while piece := source.read(_PIECE_BYTES):
                        digest.update(piece)
            except OSError as error:
                wrong.append(f"{where}: {error.strerror}")
                continue
        if digest.digest() != sha256:
            wrong.append(f"{where}: the content of blob {sha256.hex()} does not have its hash")
    return wrong
