"""The tables, their format number, and the steps from an older format to this one.

Measured choices (docs/adr/0005-store.md): tables with a rowid, since rows of 1 KB overflow the
pages of WITHOUT ROWID tables; 4 KiB pages, since a small change writes a whole page to the log;
log entries under one integer (log id and sequence number packed), since that b-tree is the
smallest. Every page carries a checksum (SQLite's cksumvfs) which each read of it verifies: without
one a flipped bit in a key would make a record silently absent.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import apsw
import apsw.sqlite_extra

from lambent import __version__
from lambent.base.errors import StartupError
from lambent.store.folder import sync_folder
from lambent.store.protocol import Corrupt
from lambent.store.rows import translate

FORMAT = 1
PRODUCT = "lambent"
PAGE_BYTES = 4096
CACHE_KIB = 32 * 1024  # SQLite's page cache, per connection
BUSY_WAIT_MS = 2000  # only `verify` and a checkpoint ever make a connection wait
QUICK_CHECK_BYTES_MAX = 4 * 1024 * 1024  # about 10 ms

Migration = Callable[[apsw.Connection], None]
MIGRATIONS: Mapping[int, Migration] = {}
"""From format n to n + 1, each run in one transaction with the change of the number."""

TABLES = """
CREATE TABLE meta(name TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL);
CREATE TABLE records(
    key BLOB PRIMARY KEY NOT NULL, version INTEGER NOT NULL, value BLOB NOT NULL,
    crc INTEGER NOT NULL, blobs BLOB);
CREATE TABLE logs(id INTEGER PRIMARY KEY, name BLOB UNIQUE NOT NULL, next INTEGER NOT NULL);
CREATE TABLE entries(id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, value BLOB NOT NULL);
CREATE TABLE blobs(
    sha256 BLOB PRIMARY KEY NOT NULL, size INTEGER NOT NULL, refs INTEGER NOT NULL, data BLOB);
"""


@cache
def _load_page_checksums() -> None:
    # Becomes the default VFS of this process; only the store uses SQLite.
    try:
        apsw.sqlite_extra.load(apsw.Connection(":memory:"), "cksumvfs")
    except (apsw.sqlite_extra.NotAvailable, apsw.ExtensionLoadingError, OSError) as error:
        raise StartupError(
            f"SQLite's page checksums cannot be loaded ({error}): install apsw from its PyPI wheel"
        ) from error


def connect(file: Path | None) -> apsw.Connection:
    """Open a connection for any thread's use, one at a time; None opens a database in memory."""
    if file is None:
        return apsw.Connection(":memory:")
    _load_page_checksums()
    db = apsw.Connection(str(file))
    db.set_busy_timeout(BUSY_WAIT_MS)
    return db


def prepare(file: Path | None, migrations: Mapping[int, Migration] = MIGRATIONS) -> apsw.Connection:
    """Open the database for writing: create, migrate or refuse it.

    Errors: StartupError for another product's or a newer database, Corrupt for a damaged one.
    """
    name = str(file or ":memory:")
    db: apsw.Connection | None = None
    ready = False
    try:
        if file is not None and not file.exists():
            _create_file(file)
        db = connect(file)
        if file is None:
            _create(db)
        _tune(db)
        _check_format(db, name, migrations)
        _quick_check(db, name)
        ready = True
        return db
    except apsw.Error as error:
        raise translate(error, name) from error
    finally:
        if db is not None and not ready:
            db.close()


def _create_file(file: Path) -> None:
    """Under another name until it is whole: then an empty file is damage, never a fresh start."""
    new = file.with_name(file.name + ".new")
    for left in file.parent.glob(new.name + "*"):
        left.unlink()
    db = connect(new)
    db.pragma("page_size", PAGE_BYTES)
    db.reserve_bytes("main", 8)  # room for the page checksum
    db.pragma("journal_mode", "wal")
    db.pragma("synchronous", "FULL")
    _create(db)
    db.close()  # moves the write-ahead log into the file, synced
    new.rename(file)
    sync_folder(file.parent)


def _create(db: apsw.Connection) -> None:
    db.execute(f"BEGIN IMMEDIATE; {TABLES}")
    for item in (("format", str(FORMAT)), ("product", PRODUCT), ("written_by", written_by())):
        db.execute("INSERT INTO meta VALUES(?, ?)", item)
    db.execute("COMMIT")


def _tune(db: apsw.Connection) -> None:
    db.pragma("synchronous", "FULL")
    db.pragma("wal_autocheckpoint", 0)
    db.pragma("cache_size", -CACHE_KIB)
    db.pragma("trusted_schema", 0)
    db.pragma("cell_size_check", 1)


def _check_format(db: apsw.Connection, name: str, migrations: Mapping[int, Migration]) -> None:
    if not db.execute("SELECT count(*) FROM sqlite_schema").get:
        raise Corrupt(name, None, "the database is empty: it was cut short")
    try:
        meta = {str(row[0]): row[1] for row in db.execute("SELECT name, value FROM meta")}
        found = int(meta["format"] or "")
    except (apsw.SQLError, KeyError, ValueError) as error:
        raise StartupError(
            f"{name} is not a database of {PRODUCT}: choose another data folder"
        ) from error
    if meta.get("product") != PRODUCT:
        raise StartupError(f"{name} belongs to {meta.get('product')}: choose another data folder")
    if found > FORMAT:
        raise StartupError(
            f"{name} has format {found}, written by {meta.get('written_by')}, and this is "
            f"{written_by()}, which knows formats up to {FORMAT}: upgrade {PRODUCT}, or restore "
            f"a backup that was made before the upgrade"
        )
    for step in range(found, FORMAT):
        _migrate(db, name, step, migrations)
    if meta.get("written_by") != written_by():
        db.execute("REPLACE INTO meta VALUES('written_by', ?)", (written_by(),))


def _migrate(
    db: apsw.Connection, name: str, step: int, migrations: Mapping[int, Migration]
) -> None:
    if step not in migrations:
        raise StartupError(
            f"{name} has format {step}, which {written_by()} can no longer read: "
            f"open it once with an older release"
        )
    with db:
        migrations[step](db)
        db.execute("UPDATE meta SET value = ? WHERE name = 'format'", (str(step + 1),))


def _quick_check(db: apsw.Connection, name: str) -> None:
    if db.pragma("page_count") * PAGE_BYTES > QUICK_CHECK_BYTES_MAX:
        return  # each page is still verified when it is read; `verify` reads them all
    found = db.execute("PRAGMA quick_check(1)").get
    if found != "ok":
        raise Corrupt(name, None, f"the database is damaged: {found}")


def written_by() -> str:
    """Product and version, as the database records who wrote it."""
    return f"{PRODUCT} {__version__}"
