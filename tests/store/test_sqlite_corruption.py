"""A flipped byte anywhere is detected and named, or harmless; wrong data is never given."""

import asyncio
import random
import shutil
from pathlib import Path
from typing import Any

import apsw
import pytest

from lambent.base.errors import StartupError
from lambent.store import open_store
from lambent.store.protocol import Append, Corrupt, Put, Store
from tests.loops import run

OFFSETS = 250
RECORDS = {("r", f"{n:04d}"): {"n": n, "text": f"{n}." * (n % 120)} for n in range(300)}
ENTRIES = [f"entry {n}".encode() * (n % 30) for n in range(300)]
SMALL, LARGE = b"small" * 2000, b"large" * 300_000


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")

    async def fill() -> None:
        store = await open_store(folder)
        await store.commit(*(Put(key, value) for key, value in RECORDS.items()))
        await store.commit(*(Append(("log",), value) for value in ENTRIES))
        writer = store.blobs.writer()
        await writer.write(LARGE)
        large = await writer.finish()
        await store.commit(Put(("b",), {}, blobs=(large, store.blobs.small(SMALL))))
        store.blobs.release(large.sha256)
        await store.close()

    run(fill())
    return folder


async def all_right(store: Store) -> None:
    """Every single read gives what was written."""
    for key, value in RECORDS.items():
        record = await store.get(key)
        assert record is not None
        assert record.value == value
    assert {record.key: record.value for record in await store.scan(("r",))} == RECORDS
    assert [entry.value for entry in await store.read_log(("log",))] == ENTRIES
    assert await store.blobs.read(store.blobs.small(SMALL).sha256) == SMALL


async def read_all(folder: Path) -> None:
    store: Any = await open_store(folder)
    try:
        await all_right(store)
    finally:
        store._writer._thread.shutdown()
        store._own.close()
        store._db.close()
        store._folder.release()


def test_flips_in_the_database(original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(original, folder)
    file = folder / "lambent.db"
    good = file.read_bytes()
    rnd = random.Random(5)
    found = 0
    for offset in [*range(0, 100, 3), *(rnd.randrange(len(good)) for _ in range(OFFSETS))]:
        bad = bytearray(good)
        bad[offset] ^= 1 << rnd.randrange(8)
        file.write_bytes(bad)
        try:
            run(read_all(folder))
        except Corrupt as error:
            assert "lambent.db" in str(error)  # noqa: PT017 - the other outcomes count as well
            found += 1
        except StartupError as error:
            assert str(folder) in str(error)  # noqa: PT017
            found += 1
    assert found > OFFSETS // 2


def test_the_database_cut_short(original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(original, folder)
    file = folder / "lambent.db"
    good = file.read_bytes()
    for length in (0, 50, 4096, 5000, len(good) // 2, len(good) - 4096):
        file.write_bytes(good[:length])
        with pytest.raises((Corrupt, StartupError), match=str(folder)):
            run(read_all(folder))


def test_flips_in_a_blob_file(original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(original, folder)
    (file,) = folder.glob("blobs/??/*")
    good = file.read_bytes()
    rnd = random.Random(6)

    async def read() -> None:
        store = await open_store(folder)
        for _ in range(20):
            bad = bytearray(good)
            bad[rnd.randrange(len(good))] ^= 1 << rnd.randrange(8)
            file.write_bytes(bad)
            with pytest.raises(Corrupt, match=file.name):
                await store.blobs.read(file.name)
            pieces = []
            with pytest.raises(Corrupt, match=str(file)):  # noqa: PT012 - pieces come first
                async for piece in store.blobs.chunks(file.name):
                    pieces.append(piece)
            assert sum(map(len, pieces)) < len(good)
        assert any(file.name in line for line in await store.verify())
        file.write_bytes(good[:-1])
        with pytest.raises(Corrupt, match=str(file)):
            await store.blobs.read(file.name)
        file.unlink()
        with pytest.raises(Corrupt, match="missing"):
            await store.blobs.read(file.name)
        await store.close()

    run(read())
    with pytest.raises(StartupError, match=f"{file.name} is missing: restore"):
        run(open_store(folder))
    file.write_bytes(good[:-1])
    with pytest.raises(StartupError, match=f"{file.name} has 1499999 bytes"):
        run(open_store(folder))


def test_damage_on_the_way_of_a_commit_leaves_the_others_alone(
    original: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(original, folder)

    async def work() -> None:
        store = await open_store(folder)
        check = store._writer._tx.head

        def head(raw_key: bytes) -> tuple[int, bytes | None]:
            if raw_key.startswith(b"bad"):
                raise apsw.CorruptError("database disk image is malformed")
            return check(raw_key)

        store._writer._tx.head = head  # type: ignore[method-assign]
        done = await asyncio.gather(
            store.commit(Put(("good", "1"), {})),
            store.commit(Put(("bad",), {})),
            store.commit(Put(("good", "2"), {})),
            return_exceptions=True,
        )
        assert [done[0], done[2]] == [[1], [1]]
        assert isinstance(done[1], Corrupt)
        await store.close()

    run(work())
