"""Blanks are made for recent demand, taken at once, and given up cleanly."""

from lambent.sandbox.namespace import NamespaceSandbox
from tests.sandbox.support import Bench, run, value

ECHO = "def handler(e, c):\n    return e\n"


def test_the_second_launch_takes_what_was_made_after_the_first() -> None:
    async def work(bench: Bench) -> None:
        sandbox = bench.sandbox
        assert isinstance(sandbox, NamespaceSandbox)
        code = bench.code({"m.py": ECHO})
        first = await bench.launch(code)
        await first.ready()
        (waiting,) = sandbox.waiting.values()
        await sandbox.tasks.join()
        assert len(waiting) == waiting.wanted() == 1
        second = await bench.launch(code)
        await second.ready()
        await sandbox.tasks.join()
        assert len(waiting) == waiting.wanted() == 2
        for box in (first, second):
            assert await box.ready() is None
            assert await value(box, 1) == 1

    run(work)


def test_a_blank_that_died_is_not_handed_out() -> None:
    async def work(bench: Bench) -> None:
        sandbox = bench.sandbox
        assert isinstance(sandbox, NamespaceSandbox)
        code = bench.code({"m.py": ECHO})
        box = await bench.launch(code)
        await box.ready()
        await sandbox.tasks.join()
        (waiting,) = sandbox.waiting.values()
        dead = waiting.blanks[0]
        await dead.nursery.kill(dead.number)
        assert not dead.alive
        box = await bench.launch(code)
        assert await box.ready() is None
        assert await value(box, 2) == 2
        await sandbox.close()
        assert not waiting.blanks

    run(work)
