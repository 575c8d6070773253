"""Log counters and what is forgotten when a batch is rolled back."""

from pathlib import Path

import pytest

from lambent.store import open_store, transaction
from lambent.store.protocol import Append, Trim


async def test_a_counter_outlives_its_entries(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    assert await store.commit(*(Append(("log",), b"x") for _ in range(3))) == [1, 2, 3]
    await store.commit(Trim(("log",), 99))
    await store.close()
    store = await open_store(tmp_path)
    assert await store.read_log(("log",)) == []
    assert list(await store.logs(())) == [("log",)]
    assert await store.commit(Append(("log",), b"x")) == [4]
    await store.commit(Trim(("log",), 3), Trim(("none",), 5), Trim(("none",), None))
    await store.close()
    store = await open_store(tmp_path)
    assert await store.commit(Append(("log",), b"x")) == [5]
    await store.close()


async def test_known_logs_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "LOGS_KNOWN_MAX", 3)
    store = await open_store(tmp_path)
    for turn in range(1, 4):
        for name in "abcdef":
            assert await store.commit(Append((name,), b"x")) == [turn]
    assert len(store._writer._tx._logs) <= 4
    await store.close()
