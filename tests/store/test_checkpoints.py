"""The write-ahead log stays short, without the commits standing still."""

import asyncio
from pathlib import Path

import apsw

from lambent.store import checkpoints, open_store
from lambent.store.protocol import Put
from lambent.store.sqlite import SqliteStore


async def fill(store: SqliteStore, size_mb: int) -> None:
    for _ in range(size_mb):
        await asyncio.gather(
            *(store.commit(Put(("k", str(n)), {"t": "x" * 15_000})) for n in range(64))
        )


async def test_the_log_stays_bounded_while_commits_go_on(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await fill(store, 60)
    stats = await store.stats()
    assert stats.checkpoints >= 2
    assert stats.wal_bytes < checkpoints.FORCE_BYTES
    assert stats.records == 64
    await store.close()
    assert not (tmp_path / "lambent.db-wal").exists()
    store = await open_store(tmp_path)
    assert await store.count(()) == 64
    assert await store.verify() == []
    await store.close()


async def test_an_idle_store_is_checkpointed(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    assert store._checkpoints is not None
    await store.commit(Put(("a",), {}))
    store._checkpoints._maybe_idle()
    while not store._checkpoints.done:  # noqa: ASYNC110 - a thread ends it
        await asyncio.sleep(0.001)
    db = apsw.Connection(str(tmp_path / "lambent.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert db.execute("SELECT count(*) FROM records").get == 1
    db.close()
    await store.close()


async def test_a_long_read_delays_the_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.commit(Put(("a",), {}))
    reader = apsw.Connection(str(tmp_path / "lambent.db"))
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM records").get == 1
    await fill(store, 10)
    assert store._checkpoints is not None
    assert store._checkpoints.done == 0
    reader.execute("COMMIT")
    reader.close()
    await fill(store, 20)
    assert store._checkpoints.done > 0
    await store.close()


async def test_past_the_bound_commits_wait_for_the_checkpoint(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    points = store._checkpoints
    assert points is not None
    points._start()
    points._waiting_pages = checkpoints.FORCE_BYTES
    points.observe()
    assert store._writer._held
    assert await store.commit(Put(("a",), {})) == [1]  # it ended, and let us go on
    assert points.done == 1
    await store.close()
