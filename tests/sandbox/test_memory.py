"""The memory watch looks at whoever is busy, and only then."""

import asyncio
import os
import subprocess
import sys

from lambent.sandbox.memory import MIB, MemoryWatch, peak_bytes, resident_bytes


class Seen:
    def __init__(self, *, bounded: bool = False) -> None:
        self.bounded = bounded
        self.looked = asyncio.Event()
        self.sizes: list[int] = []

    def resident_bytes(self) -> int:
        return resident_bytes(os.getpid())

    def memory_seen(self, size_bytes: int) -> None:
        self.sizes.append(size_bytes)
        self.looked.set()


def test_a_process_and_its_children_are_summed() -> None:
    own = resident_bytes(os.getpid())
    assert own > MIB
    script = "a = b'x' * 64_000_000; print(1, flush=True); input()"
    child = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert resident_bytes(os.getpid()) >= resident_bytes(child.pid) > 60 * MIB
        assert peak_bytes(child.pid) > 60 * MIB
        child.communicate(b"\n")
    assert resident_bytes(child.pid) == peak_bytes(child.pid) == 0


def test_the_watch_runs_while_somebody_is_in_it() -> None:
    async def work() -> None:
        watch, seen = MemoryWatch(), Seen()
        watch.add(seen)
        await asyncio.wait_for(seen.looked.wait(), 10)
        assert seen.sizes[0] > MIB
        watch.discard(seen)
        watch.discard(seen)
        other = Seen()
        watch.add(other)
        watch.close()
        watch.close()
        assert not other.sizes

    asyncio.run(work())
