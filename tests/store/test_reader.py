"""Reads: paging sees each item exactly once while others write; only what is durable shows."""

import asyncio
import random
from pathlib import Path

import pytest

from lambent.store import open_store
from lambent.store.protocol import Append, Corrupt, Delete, Key, Put


@pytest.mark.parametrize("seed", range(5))
async def test_each_item_exactly_once_under_writes(tmp_path: Path, seed: int) -> None:
    store = await open_store(tmp_path)
    rnd = random.Random(seed)
    stay = [("p", f"{n:04d}", "stay") for n in range(300)]
    await store.commit(*(Put(key, {}) for key in stay))
    done = False

    async def disturb() -> None:
        while not done:
            key = ("p", f"{rnd.randrange(300):04d}", f"come{rnd.randrange(5)}")
            update = Put(rnd.choice(stay), {"n": rnd.random()})
            await store.commit(Put(key, {}) if rnd.random() < 0.5 else Delete(key), update)

    disturbers = [asyncio.create_task(disturb()) for _ in range(4)]
    for reverse in (False, True):
        seen: list[Key] = []
        after: Key | None = None
        while page := await store.scan(("p",), after=after, limit=17, reverse=reverse):
            seen += [record.key for record in page]
            after = page[-1].key
            await asyncio.sleep(0)
        assert seen == sorted(seen, reverse=reverse)
        assert len(seen) == len(set(seen))
        assert [key for key in seen if key[2] == "stay"] == sorted(stay, reverse=reverse)
    done = True
    await asyncio.gather(*disturbers)
    await store.close()


async def test_the_cache_never_shows_what_is_not_durable(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    value = {"list": [1]}
    await store.commit(Put(("a",), value))
    value["list"].append(2)  # the caller's own object, changed after the commit
    record = await store.get(("a",))
    assert record is not None
    assert record.value == {"list": [1]}
    assert await store.get(("a",)) is record
    changing = asyncio.create_task(store.commit(Put(("a",), {"n": 2})))
    await asyncio.sleep(0)
    assert await store.get(("a",)) is record
    await changing
    record = await store.get(("a",))
    assert record is not None
    assert (record.version, record.value) == (2, {"n": 2})
    await store.commit(Delete(("a",)))
    assert await store.get(("a",)) is None
    await store.close()


async def test_a_row_that_was_changed_behind_us_is_corrupt(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.commit(Put(("a",), {"n": 1}), Append(("log",), b"x"))
    store._db.execute("UPDATE records SET version = 2; UPDATE entries SET value = x'00'")
    store._reader.cache.clear()
    with pytest.raises(Corrupt, match=r"lambent\.db.*checksum.*'a'"):
        await store.get(("a",))
    with pytest.raises(Corrupt, match=r"checksum.*'a'"):
        await store.scan(())
    with pytest.raises(Corrupt, match=r"log entry.*'log'"):
        await store.read_log(("log",))
    assert len(await store.verify()) == 2
    await store.close()


async def test_names_of_logs_are_paged(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    names = [("x", f"{n:02d}") for n in range(30)]
    await store.commit(*(Append(name, b"") for name in names), Append(("y",), b""))
    first = await store.logs(("x",), limit=20)
    assert [*first, *await store.logs(("x",), after=first[-1])] == names
    assert await store.read_log(("none",)) == []
    await store.close()
