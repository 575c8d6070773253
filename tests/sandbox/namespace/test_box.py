"""One environment of the namespace level: its memory, its freezing, its /tmp."""

import asyncio
import os

from lambent.sandbox.namespace import NamespaceSandbox
from lambent.sandbox.namespace.box import NamespaceBox
from tests.sandbox.support import Bench, run, value


def wait_stopped(box: NamespaceBox) -> None:
    while not stopped(box):
        os.sched_yield()


def stopped(box: NamespaceBox) -> bool:
    with open(f"/proc/{box.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


def test_a_frozen_environment_stands_still_until_it_is_invoked() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.python("def handler(e, c):\n    return e\n")
        assert isinstance(box, NamespaceBox)
        for n in range(3):
            assert await value(box, n) == n
            await box.idle()
            box.freeze()
            box.freeze()
            await asyncio.to_thread(wait_stopped, box)
        assert await value(box, 9) == 9
        assert not stopped(box)
        box.freeze()
        await box.close()

    run(work)


def test_files_in_tmp_are_no_memory_of_the_function_and_are_bounded() -> None:
    async def work(bench: Bench) -> None:
        source = (
            "def handler(mib, c):\n    with open('/tmp/f', 'ab') as file:\n"
            "        for _ in range(mib):\n            file.write(b'x' * (1 << 20))\n"
        )
        box = await bench.python(source, memory_mib=64, tmp_mib=512)
        await value(box, 300)
        assert box.memory_used_mib() < 64

    run(work)


def test_the_processor_is_shared_by_memory_after_init() -> None:
    async def work(bench: Bench) -> None:
        assert isinstance(bench.sandbox, NamespaceSandbox)
        cpu = bench.sandbox.cgroups.parents.get("cpu")
        box = await bench.launch(bench.code({"m.py": "def handler(e, c): pass\n"}), memory_mib=885)
        assert isinstance(box, NamespaceBox)
        if cpu is None:
            return
        quota = cpu / str(box.number) / "cpu.cfs_quota_us"
        assert quota.read_text() == "-1\n"
        await box.ready()
        assert quota.read_text() == "10005\n"

    run(work)
