"""Group commit: few fsyncs, conflicts apart, a slow disk in a thread, bounded posts."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from lambent.store import open_store, writer
from lambent.store.protocol import ABSENT, Append, Conflict, Delete, Put, StoreFull
from lambent.store.sqlite import SqliteStore


async def test_commits_of_one_turn_share_an_fsync(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    before = (await store.stats()).batches
    done = await asyncio.gather(*(store.commit(Put(("k", str(n)), {"n": n})) for n in range(50)))
    assert done == [[1]] * 50
    stats = await store.stats()
    assert stats.batches - before == 1
    assert (stats.commits, stats.records) == (50, 50)
    assert stats.fsync_ms > 0
    await store.close()


async def test_a_conflict_fails_alone(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    done = await asyncio.gather(
        store.commit(Put(("a",), {}, expect=ABSENT)),
        store.commit(Put(("b",), {}), Append(("log",), b"x"), Put(("a",), {}, expect=ABSENT)),
        store.commit(Put(("a",), {"second": True}, expect=1), Append(("log",), b"y")),
        store.commit(Delete(("a",), expect=5)),
        store.commit(Put(("c",), {}), Put(("c",), {}, expect=1), Delete(("c",), expect=2)),
        return_exceptions=True,
    )
    assert [done[0], done[2], done[4]] == [[1], [2, 1], [1, 2, 0]]
    assert isinstance(done[1], Conflict)
    assert isinstance(done[3], Conflict)
    assert done[1].key == ("a",)
    assert [record.key for record in await store.scan(())] == [("a",)]
    assert (await store.stats()).batches == 1
    await store.close()


class SlowDisk:
    """COMMIT waits until it is let go, in whichever thread it runs."""

    def __init__(self, store: SqliteStore) -> None:
        self.thread: threading.Thread | None = None
        self.go = threading.Event()
        self._seal: Callable[[], None] = store._writer.seal
        store._writer.seal = self
        store._writer.fsync_s = 1.0  # as if it had been slow before

    def __call__(self) -> None:
        self.thread = threading.current_thread()
        self.go.wait()
        self._seal()


async def test_a_slow_disk_does_not_block_the_loop(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.commit(Put(("a",), {"n": 1}))
    disk = SlowDisk(store)
    order: list[str] = []

    async def commit(n: int) -> None:
        await store.commit(Put(("a",), {"n": n}))
        order.append(f"committed {n}")

    first = asyncio.create_task(commit(2))
    while disk.thread is None:  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0)
    later = [asyncio.create_task(commit(n)) for n in (3, 4, 5)]
    await asyncio.sleep(0)
    store._reader.cache.clear()
    record = await store.get(("a",))  # from the database, while the batch is out
    assert record is not None
    assert (record.version, record.value) == (1, {"n": 1})
    order.append("read")
    disk.go.set()
    await asyncio.gather(first, *later)
    assert order == ["read", *(f"committed {n}" for n in (2, 3, 4, 5))]
    assert disk.thread is not threading.main_thread()
    record = await store.get(("a",))
    assert record is not None
    assert (record.version, record.value) == (5, {"n": 5})
    assert (await store.stats()).batches == 3
    await store.close()


async def test_a_disk_that_becomes_fast_is_used_inline_again(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    threads: set[str] = set()
    seal = store._writer.seal

    def watched() -> None:
        threads.add(threading.current_thread().name)
        seal()

    store._writer.seal = watched
    store._writer.fsync_s = 0.004
    for n in range(60):
        await store.commit(Put(("a",), {"n": n}))
        store._writer.fsync_s = min(store._writer.fsync_s, 0.003)
        if n > 40:
            store._writer.fsync_s = 0.0
    assert "MainThread" in threads
    assert any(name.startswith("lambent-commit") for name in threads)
    await store.close()


@pytest.mark.parametrize("threaded", [False, True])
async def test_a_full_disk_fails_the_batch_and_no_more(tmp_path: Path, threaded: bool) -> None:
    store = await open_store(tmp_path)
    await store.commit(Put(("a",), {"n": 1}), Append(("log",), b"1"))
    seal = store._writer.seal

    def full() -> None:
        raise apsw.FullError("database or disk is full")

    store._writer.seal = full
    store._writer.fsync_s = 1.0 if threaded else 0.0
    done = await asyncio.gather(
        store.commit(Put(("a",), {"n": 2}), Append(("log",), b"2"), Append(("new",), b"2")),
        store.commit(Put(("b",), {})),
        return_exceptions=True,
    )
    assert [type(each) for each in done] == [StoreFull, StoreFull]
    store._writer.seal = seal
    record = await store.get(("a",))
    assert record is not None
    assert record.value == {"n": 1}
    assert await store.commit(Put(("a",), {"n": 3}), Append(("log",), b"3")) == [2, 2]
    assert await store.logs(()) == [("log",)]
    await store.close()


async def test_really_full(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    await store.commit(Put(("a",), {"n": 1}))
    store._db.pragma("max_page_count", 40)
    done = await asyncio.gather(
        *(store.commit(Put(("big", str(n)), {"t": "x" * 50_000})) for n in range(10)),
        return_exceptions=True,
    )
    assert {type(each) for each in done} == {StoreFull}
    assert await store.count(()) == 1
    store._db.pragma("max_page_count", 100_000)
    assert await store.commit(Put(("big",), {"t": "x" * 50_000})) == [1]
    await store.close()


async def test_what_cannot_be_stored_fails_its_own_caller(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    for change, error in (
        (Put(("a",), {"x": object()}), TypeError),
        (Put(("a",), {"x": 1 << 70}), OverflowError),
        (Put(("\ud800",), {}), ValueError),
        (Append(("a",), "text"), TypeError),  # type: ignore[arg-type]
        (Append(("a",), b"x" * (33 << 20)), ValueError),
    ):
        with pytest.raises(error):
            await store.commit(change)
    assert await store.commit(Put(("a",), {})) == [1]
    await store.close()


async def test_a_mistake_in_the_writer_leaves_nobody_waiting(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    seen: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: seen.append(context))
    await store.commit(Append(("log",), b"1"))
    store._writer._tx._logs.clear()
    store._writer._tx.log_head = lambda *_, **__: 1 / 0  # type: ignore[method-assign,assignment]
    with pytest.raises(RuntimeError, match="mistake in the store"):
        await store.commit(Put(("a",), {}), Append(("log",), b"2"))
    del store._writer._tx.log_head
    assert seen
    assert await store.commit(Put(("a",), {}), Append(("log",), b"2")) == [1, 2]
    await store.close()


async def test_a_cancelled_caller_does_not_undo(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    waiting = asyncio.create_task(store.commit(Put(("a",), {})))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await store.commit()
    assert await store.get(("a",)) is not None
    await store.close()


async def test_posts_are_applied_in_order_with_commits(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    store.post(Append(("log",), b"1"))
    commit = asyncio.create_task(store.commit(Append(("log",), b"2")))
    await asyncio.sleep(0)
    store.post(Append(("log",), b"3"))
    store.post()
    assert await commit == [2]
    await store.commit()
    assert [entry.value for entry in await store.read_log(("log",))] == [b"1", b"2", b"3"]
    store.post(Append(("log",), b"4"))
    while not await store.read_log(("log",), after=3):  # noqa: ASYNC110 - joins no commit
        await asyncio.sleep(0.01)
    store.post(Append(("log",), b"5"))
    await store.close()
    store = await open_store(tmp_path)
    assert len(await store.read_log(("log",))) == 5
    await store.close()


async def test_posts_are_bounded_and_drops_counted(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    for n in range(writer.POSTS_MAX + 7):
        store.post(Append(("log",), str(n).encode()))
    await store.commit()
    assert (await store.stats()).posts_dropped == 7
    assert (await store.read_log(("log",), limit=1))[0].value == b"7"
    assert len(await store.read_log(("log",), limit=99_999)) == writer.POSTS_MAX
    for _ in range(10):
        store.post(Append(("big",), b"x" * (5 << 20)))
    await store.commit()
    assert (await store.stats()).posts_dropped == 7 + 4
    await store.close()


async def test_a_post_that_fails_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "lambent.store")
    store = await open_store(tmp_path)
    store.post(Put(("a",), {}, expect=9))
    await store.commit()
    assert "a post was not applied: version conflict" in caplog.text
    await store.close()
