"""What the store can do here: `python -m bench.store [folder] [--profile]`.

Prints rows per second beside the target (from the prototype's measurements on a like machine). Each
line is the median of three runs; the machine's noise is larger than most tuning gains, so compare
runs that were interleaved, and CPU per row before rows per second.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import shutil
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from lambent.store import open_store
from lambent.store.protocol import SMALL_BLOB_BYTES, Append, Key, Put, Store

ACCOUNT = ("123456789012", "us-east-1", "bench")
KEYS = 20_000
TARGETS = {
    "put 200 B, 1 writer": 5_000,
    "put 200 B, 16 writers": 35_000,
    "put 200 B, 64 writers": 60_000,
}

Work = Callable[[Store, int], Awaitable[object]]


def key(number: int) -> Key:
    return (*ACCOUNT, "item", f"{number * 7919 % KEYS:08d}")


async def drive(store: Store, work: Work, workers: int, count: int) -> tuple[float, float]:
    """Rows per second and CPU microseconds per row of `count` calls by `workers` tasks."""
    numbers = iter(range(count))

    async def one() -> None:
        for number in numbers:
            await work(store, number)

    wall_s, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(one() for _ in range(workers)))
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    return count / wall_s, cpu_s / count * 1e6


def put(size_bytes: int) -> Work:
    text = "x" * (size_bytes - 20)
    return lambda store, number: store.commit(Put(key(number), {"Id": number, "Body": text}))


def append(size_bytes: int) -> Work:
    body = b"x" * size_bytes
    return lambda store, number: store.commit(Append((*ACCOUNT, "log", str(number % 50)), body))


def blob(size_bytes: int) -> Work:
    async def work(store: Store, number: int) -> None:
        data = number.to_bytes(8, "big") + os.urandom(size_bytes - 8)
        if size_bytes <= SMALL_BLOB_BYTES:
            made = store.blobs.small(data)
            await store.commit(Put((*ACCOUNT, "object", str(number % 500)), {}, blobs=(made,)))
            return
        writer = store.blobs.writer()
        await writer.write(data)
        made = await writer.finish()
        await store.commit(Put((*ACCOUNT, "object", str(number % 500)), {}, blobs=(made,)))
        store.blobs.release(made.sha256)

    return work


def get(spread: int) -> Work:
    return lambda store, number: store.get(key(number % spread))


async def scan(store: Store, number: int) -> None:
    await store.scan((*ACCOUNT, "item"), after=key(number), limit=10)


async def uncached(store: Store, number: int) -> None:
    store._reader.cache.clear()  # type: ignore[attr-defined]
    await store.get(key(number))


LINES: list[tuple[str, Work, int, int]] = [
    ("put 200 B, 1 writer", put(200), 1, 4_000),
    ("put 200 B, 16 writers", put(200), 16, 24_000),
    ("put 200 B, 64 writers", put(200), 64, 40_000),
    ("put 1 KB, 1 writer", put(1024), 1, 4_000),
    ("put 1 KB, 16 writers", put(1024), 16, 24_000),
    ("put 1 KB, 64 writers", put(1024), 64, 40_000),
    ("append 200 B, 1 writer", append(200), 1, 4_000),
    ("append 200 B, 16 writers", append(200), 16, 24_000),
    ("append 200 B, 64 writers", append(200), 64, 40_000),
    ("get 1 KB, cached", get(1000), 1, 100_000),
    ("get 1 KB, not cached", uncached, 1, 20_000),
    ("scan of 10", scan, 1, 10_000),
    ("blob 4 KiB, 16 writers", blob(4096), 16, 4_000),
    ("blob 32 KiB, 16 writers", blob(32 * 1024), 16, 1_500),
    ("blob 64 KiB, 16 writers", blob(64 * 1024), 16, 1_000),
    ("blob 1 MiB as files, 4 writers", blob(1 << 20), 4, 60),
]


async def run(folder: Path, rounds: int, only: str, profile: bool) -> None:
    store = await open_store(folder)
    await asyncio.gather(*(put(1024)(store, number) for number in range(KEYS)))
    print(f"{'':32}{'rows/s':>10}{'CPU us/row':>12}{'target':>10}")
    profiler = cProfile.Profile()
    for name, work, workers, count in LINES:
        if only in name:
            if profile:
                profiler.enable()
            runs = [await drive(store, work, workers, count) for _ in range(rounds)]
            profiler.disable()
            rate, cpu_us = (statistics.median(column) for column in zip(*runs, strict=True))
            print(f"{name:32}{rate:10,.0f}{cpu_us:12.1f}{TARGETS.get(name, ''):>10}", flush=True)
    print(await store.stats())
    await store.close()
    if profile:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(25)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folder", nargs="?", type=Path, help="where to write; on the disk to measure"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="lines whose name has this")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="lambent-bench-"))
    try:
        uvloop.run(run(folder, options.rounds, options.only, options.profile))
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()
