"""kill -9 at any moment: all that was acknowledged is there, and nothing by halves."""

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lambent.store import open_store
from lambent.store.protocol import Store
from tests.loops import run

# tests/conftest.py takes LAMBENT_* out of the environment, so the second name reaches us there.
ROUNDS = int(os.environ.get("LAMBENT_CRASH_ROUNDS") or os.environ.get("CRASH_ROUNDS") or 15)

CHILD = """
import asyncio, hashlib, os, pathlib, random, sys
import uvloop
from lambent.store import open_store
from lambent.store.protocol import Append, Delete, Put

async def worker(store, name, seed):
    rnd = random.Random(f"{seed}/{name}")
    n = int(sys.argv[3])
    while True:
        n += 1
        data = f"{name}/{n}/".encode() * rnd.choice([1, 500, 9000])
        writer = store.blobs.writer()
        await writer.write(data)
        blob = await writer.finish()
        # One commit in three places: all of it or none.
        await store.commit(
            Put(("head", name), {"n": n, "sha256": blob.sha256}, blobs=(blob,)),
            Put(("item", name, f"{n:09d}"), {"n": n, "pad": "x" * rnd.randrange(2000)}),
            *([Delete(("item", name, f"{n - 50:09d}"))] if n > 50 else []),
            Append(("log", name), str(n).encode()),
        )
        store.blobs.release(blob.sha256)
        os.write(1, f"{name} {n}\\n".encode())

async def main():
    store = await open_store(pathlib.Path(sys.argv[1]))
    if int(sys.argv[2]) % 3 == 0:
        store._writer.fsync_s = 1.0  # begin with commits in the thread
    await asyncio.gather(*(worker(store, f"w{i}", sys.argv[2]) for i in range(4)))

uvloop.run(main())
"""


def crash(folder: Path, seed: int, acknowledged: dict[str, int]) -> None:
    """Run the child until a random moment; `acknowledged` has the last number of each worker."""
    rnd = random.Random(seed)
    begin = max(acknowledged.values(), default=0) + 1000
    command = [sys.executable, "-c", CHILD, str(folder), str(seed), str(begin)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        lines = rnd.randrange(1, 600)
        timer = threading.Timer(60, child.kill)
        timer.start()
        for _ in range(lines):
            name, number = child.stdout.readline().split()
            acknowledged[name.decode()] = int(number)
        child.send_signal(signal.SIGKILL)
        timer.cancel()
        for line in child.stdout.read().splitlines(keepends=True):
            if line.endswith(b"\n"):
                name, number = line.split()
                acknowledged[name.decode()] = int(number)


async def check(store: Store, acknowledged: dict[str, int]) -> None:
    assert await store.verify() == []
    for name, last in acknowledged.items():
        head = await store.get(("head", name))
        assert head is not None
        reached = head.value["n"]
        assert last <= reached <= last + 1
        (newest,) = await store.scan(("item", name), reverse=True, limit=1)
        assert newest.value["n"] == reached
        (entry,) = await store.read_log(("log", name), reverse=True, limit=1)
        assert int(entry.value) == reached
        content = await store.blobs.read(head.value["sha256"])
        assert content.startswith(f"{name}/{reached}/".encode())
        acknowledged[name] = reached


@pytest.mark.timeout(60 + ROUNDS * 10)
def test_acknowledged_changes_survive_kill_9(tmp_path: Path) -> None:
    acknowledged: dict[str, int] = {}

    async def reopened() -> None:
        store = await open_store(tmp_path)
        await check(store, acknowledged)
        files = [file for file in tmp_path.glob("blobs/??/*") if file.is_file()]
        assert len(files) <= 4
        assert not list((tmp_path / "blobs" / "tmp").iterdir())
        await store.close()

    for seed in range(ROUNDS):
        crash(tmp_path, seed, acknowledged)
        run(reopened())
