"""Streaming in: nothing is left of what is not finished, and a full disk says so."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from lambent.store import open_store
from lambent.store.protocol import SMALL_BLOB_BYTES, Put, StoreFull


def left(folder: Path) -> list[Path]:
    return [file for file in folder.glob("blobs/**/*") if file.is_file()]


async def test_small_content_never_touches_the_disk(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    for size in (0, 1, SMALL_BLOB_BYTES):
        writer = store.blobs.writer()
        for _ in range(size):
            await writer.write(b"x")
        blob = await writer.finish()
        assert blob == store.blobs.small(b"x" * size)
        writer.close()
        store.blobs.release(blob.sha256)
    assert left(tmp_path) == []
    await store.close()


async def test_one_byte_more_is_a_file(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    writer = store.blobs.writer()
    await writer.write(b"x" * (SMALL_BLOB_BYTES + 1))
    blob = await writer.finish()
    assert blob.data is None
    assert [file.name for file in left(tmp_path)] == [blob.sha256]
    await store.commit(Put(("a",), {}, blobs=(blob,)))
    store.blobs.release(blob.sha256)
    await store.close()


async def test_close_discards(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    writer = store.blobs.writer()
    await writer.write(b"x" * 3_000_000)
    assert len(left(tmp_path)) == 1
    writer.close()
    writer.close()
    assert left(tmp_path) == []
    await store.close()


async def test_a_cancelled_writer_discards_once_its_piece_is_written(tmp_path: Path) -> None:
    store = await open_store(tmp_path)
    writer = store.blobs.writer()

    async def upload() -> None:
        try:
            while True:
                await writer.write(b"x" * 1_500_000)
        finally:
            writer.close()

    task = asyncio.create_task(upload())
    while not left(tmp_path):  # noqa: ASYNC110 - a thread makes it
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await store.close()
    assert left(tmp_path) == []


@pytest.mark.parametrize("step", ["_absorb", "_place"])
async def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, step: str) -> None:
    store = await open_store(tmp_path)
    writer: Any = store.blobs.writer()

    def full(_: object) -> None:
        raise OSError(28, os.strerror(28))

    await writer.write(b"x" * 2_000_000)
    setattr(writer, step, full)
    with pytest.raises(StoreFull, match="No space left"):  # noqa: PT012 - either may be told
        await writer.write(b"x" * 2_000_000)
        await writer.finish()
    await store.commit()
    assert left(tmp_path) == []
    assert not store._shelf._pins
    await store.close()
