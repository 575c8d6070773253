"""Blobs live as long as something refers to them or pins them, and are never lost in between."""

import asyncio
import hashlib
import os
import threading
from pathlib import Path

import pytest

from lambent.store import open_store
from lambent.store.protocol import SMALL_BLOB_BYTES, Blob, Delete, Put
from lambent.store.sqlite import SqliteStore

LARGE = os.urandom(3_000_000)
LARGE_SHA = hashlib.sha256(LARGE).hexdigest()


async def write(store: SqliteStore, content: bytes) -> Blob:
    writer = store.blobs.writer()
    for at in range(0, len(content), 700_000):
        await writer.write(content[at : at + 700_000])
    return await writer.finish()


def files(store: SqliteStore) -> list[str]:
    return [file.name for file in store._folder.root.glob("blobs/??/*") if file.is_file()]


@pytest.mark.parametrize("durable", [True, False])
async def test_ranges_of_small_and_large(tmp_path: Path, durable: bool) -> None:
    store = await open_store(tmp_path if durable else None)
    small = store.blobs.small(LARGE[:1000])
    large = await write(store, LARGE)
    assert large == Blob(LARGE_SHA, len(LARGE), None)
    await store.commit(Put(("a",), {}, blobs=(small, large)))
    store.blobs.release(large.sha256)
    for blob, content in ((small, LARGE[:1000]), (large, LARGE)):
        assert await store.blobs.read(blob.sha256) == content
        for start, length in ((0, None), (5, None), (5, 10), (900, 2_000_000), (9_999_999, 1)):
            pieces = [piece async for piece in store.blobs.chunks(blob.sha256, start, length)]
            stop = None if length is None else start + length
            assert b"".join(pieces) == content[start:stop]
            assert all(0 < len(piece) <= 1 << 20 for piece in pieces)
    with pytest.raises(KeyError):
        await store.blobs.read("00" * 32)
    with pytest.raises(KeyError):
        await store.commit(Put(("b",), {}, blobs=(Blob("00" * 32, 5),)))
    with pytest.raises(ValueError, match="not a SHA-256"):
        await store.commit(Put(("b",), {}, blobs=(Blob("00", 5),)))
    with pytest.raises(ValueError, match="no small blob"):
        store.blobs.small(bytes(SMALL_BLOB_BYTES + 1))
    await store.close()


async def test_a_blob_goes_with_its_last_reference(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    large = await write(store, LARGE)
    small = store.blobs.small(b"small")
    await store.commit(
        Put(("a",), {}, blobs=(large, small)), Put(("b",), {}, blobs=(large, small, small))
    )
    store.blobs.release(large.sha256)
    await store.commit(Delete(("a",)))
    assert await store.blobs.read(small.sha256) == b"small"
    # A record moves: the last reference goes and comes in one commit.
    bare = (Blob(large.sha256, len(LARGE)), Blob(small.sha256, 5))
    await store.commit(Delete(("b",)), Put(("c",), {}, blobs=bare))
    await store.commit(Put(("c",), {"again": True}, blobs=bare))
    assert await store.blobs.read(large.sha256) == LARGE
    await store.commit(Put(("c",), {}))
    for blob in bare:
        with pytest.raises(KeyError):
            await store.blobs.read(blob.sha256)
    assert files(store) == []
    assert await store.verify() == []
    await store.close()


async def test_a_pin_keeps_what_is_deleted(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    large, small = await write(store, LARGE), store.blobs.small(b"small")
    await store.commit(Put(("a",), {}, blobs=(large, small)))
    store.blobs.release(large.sha256)
    for blob in (large, small):
        store.blobs.pin(blob.sha256)
        store.blobs.pin(blob.sha256)
    reading = store.blobs.chunks(large.sha256)
    first = await anext(reading)
    await store.commit(Delete(("a",)))
    for blob in (large, small):
        store.blobs.release(blob.sha256)
    assert first + b"".join([piece async for piece in reading]) == LARGE
    assert await store.blobs.read(small.sha256) == b"small"
    for blob in (large, small):
        store.blobs.release(blob.sha256)
    await store.commit()
    for blob in (large, small):
        with pytest.raises(KeyError):
            await store.blobs.read(blob.sha256)
    assert files(store) == []
    await store.close()


async def test_what_is_finished_and_never_referred_to_goes(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    blob = await write(store, LARGE)
    assert await store.blobs.read(blob.sha256) == LARGE  # before any record refers to it
    store.blobs.release(blob.sha256)
    await store.commit()
    assert files(store) == []
    with pytest.raises(KeyError):
        await store.commit(Put(("a",), {}, blobs=(blob,)))
    await store.close()


async def test_the_same_content_put_while_it_is_deleted_is_never_lost(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    contents = [LARGE, LARGE[:100_000], LARGE[:500]]

    async def churn(name: str, rounds: int) -> None:
        for turn in range(rounds):
            if turn == rounds // 2:
                store._writer.fsync_s = 1.0  # from here on commits are out while others run
            content = contents[turn % 3]
            blob = await write(store, content)
            await store.commit(Put((name,), {"n": turn}, blobs=(blob,)))
            store.blobs.release(blob.sha256)
            assert await store.blobs.read(blob.sha256) == content
            if turn % 2:
                await store.commit(Delete((name,)))

    await asyncio.gather(*(churn(f"w{n}", 24 + n) for n in range(6)))
    assert await store.verify() == []
    await store.close()
    store = await open_store(tmp_path)
    for record in await store.scan(()):
        await store.blobs.read(hashlib.sha256(contents[record.value["n"] % 3]).hexdigest())
    await store.close()


async def test_a_deletion_that_is_out_does_not_take_the_new_copy(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    blob = await write(store, LARGE)
    await store.commit(Put(("a",), {}, blobs=(blob,)))
    store.blobs.release(blob.sha256)
    writer = store._writer
    await writer.hold()
    deleting = asyncio.create_task(store.commit(Delete(("a",))))
    await asyncio.sleep(0)
    again = await write(store, LARGE)  # the row is still there, and about to go
    writer.resume()
    await deleting
    await store.commit(Put(("b",), {}, blobs=(again,)))
    store.blobs.release(again.sha256)
    await store.commit()
    assert await store.blobs.read(again.sha256) == LARGE
    assert await store.verify() == []
    await store.close()


async def test_a_new_copy_finished_while_the_deletion_is_being_synced_stays(
    tmp_path: Path,
) -> None:
    store = await open_store(tmp_path)
    blob = await write(store, LARGE)
    await store.commit(Put(("a",), {}, blobs=(blob,)))
    store.blobs.release(blob.sha256)
    out, go = threading.Event(), threading.Event()
    seal = store._writer.seal

    def slow() -> None:
        out.set()
        go.wait()
        seal()

    store._writer.seal, store._writer.fsync_s = slow, 1.0
    deleting = asyncio.create_task(store.commit(Delete(("a",))))
    while not out.is_set():  # noqa: ASYNC110 - a thread sets it
        await asyncio.sleep(0)
    again = await write(store, LARGE)  # the row is deleted, and that is not durable yet
    go.set()
    await deleting
    assert files(store) == [LARGE_SHA]
    await store.commit(Put(("b",), {}, blobs=(again,)))
    store.blobs.release(again.sha256)
    await store.commit()
    assert await store.blobs.read(again.sha256) == LARGE
    assert await store.verify() == []
    await store.close()
