"""Run a coroutine the way the server runs: on uvloop, and with nothing left behind."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import uvloop


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """The result of `work`; fails if it leaves tasks behind."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_clean(work))


async def _clean(work: Coroutine[Any, Any, Any]) -> Any:
    result = await work
    me = asyncio.current_task()
    for _ in range(3):  # let what was cancelled end
        await asyncio.sleep(0)
    left = [task.get_name() for task in asyncio.all_tasks() if task is not me]
    assert not left, f"tasks left behind: {left}"
    return result
