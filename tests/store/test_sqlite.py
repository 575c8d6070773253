"""The front: both places it can open, reset, verify, figures, close."""

import asyncio
from pathlib import Path

import pytest

from lambent.store import open_store
from lambent.store.protocol import Append, Delete, Put, Store, Trim


async def use(store: Store) -> None:
    blob = store.blobs.small(b"content")
    done = await store.commit(
        Put(("1", "r", "a"), {"n": 1, "b": b"\0"}, blobs=(blob,)),
        Put(("1", "r", "b"), {}),
        Put(("2", "r", "a"), {}),
        Append(("1", "log"), b"x"),
        Append(("1", "log"), b"y"),
        Append(("2", "log"), b"z"),
    )
    assert done == [1, 1, 1, 1, 2, 1]
    await store.commit(Trim(("1", "log"), 2))
    assert await store.commit(Append(("1", "log"), b"w")) == [3]
    await store.commit(Trim(("1", "log"), None), Append(("1", "log"), b"v"))
    assert [(entry.seq, entry.value) for entry in await store.read_log(("1", "log"))] == [(1, b"v")]
    await store.commit(Delete(("1", "r", "b")), Put(("1", "r", "b"), {}))
    await store.reset([("1", "r", "b"), ("nobody",)])
    assert await store.get(("1", "r", "b")) is None
    assert await store.blobs.read(blob.sha256) == b"content"
    await store.reset([("1",)])
    assert [record.key for record in await store.scan(())] == [("2", "r", "a")]
    assert list(await store.logs(())) == [("2", "log")]
    with pytest.raises(KeyError):
        await store.blobs.read(blob.sha256)
    assert await store.commit(Append(("1", "log"), b"x")) == [1]
    assert await store.verify() == []
    stats = await store.stats()
    assert (stats.records, stats.posts_dropped) == (1, 0)
    assert stats.db_bytes > 4096
    await store.close()
    await store.close()


async def test_in_memory() -> None:
    store = await open_store(None)
    await use(store)
    assert not store._folder.root.exists()


async def test_in_a_folder(tmp_path: Path) -> None:
    await use(await open_store(tmp_path / "new" / "folder"))


async def test_many_readers_and_writers_in_memory() -> None:
    store = await open_store(None)

    async def count(name: str) -> None:
        for turn in range(100):
            record = await store.get((name,))
            version = record.version if record else 0
            assert await store.commit(Put((name,), {"n": turn}, version)) == [version + 1]

    await asyncio.gather(*(count(str(n)) for n in range(8)))
    assert (await store.stats()).commits == 800
    await store.close()


async def test_close_finishes_what_waits(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    store.post(Append(("log",), b"posted"))
    waiting = [asyncio.create_task(store.commit(Put((str(n),), {}))) for n in range(5)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*waiting) == [[1]] * 5
    store = await open_store(tmp_path)
    assert await store.count(()) == 5
    assert len(await store.read_log(("log",))) == 1
    await store.close()
