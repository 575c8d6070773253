"""Formats: made, migrated step by step, or refused with a text that helps."""

from pathlib import Path

import apsw
import pytest

from lambent.base.errors import StartupError
from lambent.store import open_store
from lambent.store.protocol import Corrupt, Put
from lambent.store.schema import FORMAT, connect, prepare, written_by
from tests.loops import run


def rewrite(file: Path, sql: str) -> None:
    db = connect(file)
    db.execute(sql)
    db.close()


def made(folder: Path) -> Path:
    async def work() -> None:
        store = await open_store(folder)
        await store.commit(Put(("a",), {"x": 1}))
        await store.close()

    run(work())
    return folder / "lambent.db"


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    file = made(tmp_path)
    rewrite(file, "UPDATE meta SET value='7' WHERE name='format'")
    rewrite(file, "UPDATE meta SET value='lambent 9.9' WHERE name='written_by'")
    with pytest.raises(StartupError, match=r"format 7, written by lambent 9\.9.*upgrade lambent"):
        run(open_store(tmp_path))


def test_the_database_of_another_product_is_refused(tmp_path: Path) -> None:
    file = made(tmp_path)
    rewrite(file, "UPDATE meta SET value='other' WHERE name='product'")
    with pytest.raises(StartupError, match="belongs to other"):
        run(open_store(tmp_path))
    rewrite(file, "DROP TABLE meta")
    with pytest.raises(StartupError, match="not a database of lambent"):
        run(open_store(tmp_path))


def test_an_older_format_is_migrated_in_one_step_each(tmp_path: Path) -> None:
    file = made(tmp_path)
    rewrite(
        file, "UPDATE meta SET value='-1' WHERE name='format'; ALTER TABLE records RENAME TO old"
    )
    steps = []

    def first(db: apsw.Connection) -> None:
        steps.append(-1)
        db.execute("ALTER TABLE old RENAME TO half")

    def second(db: apsw.Connection) -> None:
        steps.append(0)
        db.execute("ALTER TABLE half RENAME TO records")

    def broken(db: apsw.Connection) -> None:
        db.execute("DROP TABLE half")
        db.execute("SELECT no_such_thing()")

    with pytest.raises(StartupError, match=r"format -1, which lambent .* can no longer read"):
        prepare(file)
    with pytest.raises(apsw.SQLError, match="no_such_thing"):
        prepare(file, {-1: first, 0: broken})
    db = connect(file)
    assert db.execute("SELECT value FROM meta WHERE name='format'").get == "0"
    db.close()
    db = prepare(file, {-1: first, 0: second})
    assert steps == [-1, 0]
    assert int(db.execute("SELECT value FROM meta WHERE name='format'").get) == FORMAT
    assert db.execute("SELECT count(*) FROM records").get == 1
    db.close()


def test_the_last_writer_is_recorded(tmp_path: Path) -> None:
    file = made(tmp_path)
    rewrite(file, "UPDATE meta SET value='lambent 0.0' WHERE name='written_by'")
    made(tmp_path)
    db = connect(file)
    assert db.execute("SELECT value FROM meta WHERE name='written_by'").get == written_by()
    assert db.execute("SELECT version FROM records").get == 2
    db.close()


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "lambent.db").write_bytes(b"no database at all, but long enough" * 200)
    with pytest.raises(Corrupt, match=r"lambent\.db: the database is damaged"):
        run(open_store(tmp_path))


def test_an_empty_file_is_damage_and_not_a_fresh_start(tmp_path: Path) -> None:
    file = made(tmp_path)
    file.write_bytes(b"")
    with pytest.raises(Corrupt, match="cut short"):
        run(open_store(tmp_path))
    file.unlink()
    (tmp_path / "lambent.db.new").write_bytes(b"left by a crash while it was made")
    made(tmp_path)
