"""Cells: who dies with whom, and what an init is for."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lambent.sandbox.box import Box, BoxGone
from lambent.sandbox.namespace import NamespaceSandbox
from lambent.sandbox.namespace.probing import why_not
from tests.sandbox import support
from tests.sandbox.support import Bench, event, run, value, wait_gone


@pytest.fixture(autouse=True)
def _at_this_level(level: str) -> None:
    if why_not():
        pytest.skip(f"no name spaces here: {why_not()}")
    support.current_level = "namespace"


DAEMON = textwrap.dedent("""
    import os, time
    def handler(e, c):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.closerange(0, 50)
                time.sleep(1000)
            os._exit(0)
        os.wait()
        for _ in range(3):  # orphans that end at once
            if os.fork() == 0:
                if os.fork() == 0:
                    os._exit(0)
                os._exit(0)
            os.wait()
        return sorted(int(p) for p in os.listdir("/proc") if p.isdigit())
""")


def test_orphans_are_adopted_and_die_with_the_environment() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.python(DAEMON)
        seen = await value(box)
        assert isinstance(seen, list)
        inside = f"/proc/{box.pid}/root/proc"
        daemons = [pid for pid in os.listdir("/proc") if pid.isdigit() and _cell(pid) == _cell(box)]
        assert len(daemons) >= 3, inside  # the init, the runtime, the daemon
        await box.close()
        for pid in daemons:
            wait_gone(int(pid))

    run(work)


async def until_gone(box: Box) -> None:
    while True:
        await box.invoke(event())


def _cell(who: object) -> str:
    pid = who if isinstance(who, str) else who.pid  # type: ignore[attr-defined]
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def test_when_the_nursery_dies_everything_does() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.python(DAEMON)
        await value(box)
        assert isinstance(bench.sandbox, NamespaceSandbox)
        (nursery,) = bench.sandbox.waiting
        os.kill(nursery.pid, signal.SIGKILL)
        with pytest.raises(BoxGone, match="signal: killed"):
            await until_gone(box)
        wait_gone(box.pid)
        again = await bench.python("def handler(e, c):\n    return 'again'\n")
        assert await value(again) == "again"

    run(work)


SERVER = """
import asyncio, sys, uvloop
from tests.sandbox import support
support.current_level = "namespace"
async def main():
    async with support.a_bench() as bench:
        box = await bench.python(%r)
        await support.value(box)
        nursery = next(iter(bench.sandbox.waiting))
        print(box.pid, nursery.pid, bench.sandbox.folders.root, flush=True)
        await asyncio.Event().wait()
uvloop.run(main())
"""


def test_when_the_server_is_killed_nothing_stays_and_the_rest_is_swept() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SERVER % DAEMON],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    )
    assert child.stdout is not None
    with child:
        pid, nursery, folder = child.stdout.readline().split()
        child.kill()
    wait_gone(int(pid))
    wait_gone(int(nursery))

    async def work(bench: Bench) -> None:
        box = await bench.python("def handler(e, c):\n    return e\n")
        await value(box)
        await bench.sandbox.tasks.join()
        assert not Path(folder).exists()
        assert isinstance(bench.sandbox, NamespaceSandbox)
        for parent in bench.sandbox.cgroups.parents.values():
            assert not (parent.parent / Path(folder).name).exists()

    run(work)
