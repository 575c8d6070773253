"""Supervised tasks: the one way to start concurrent work, named, bounded and waited for.

A task that fails is logged with its name, never lost; `Tasks.close` cancels and awaits them all.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

_log = logging.getLogger("lambent.tasks")


class Tasks:
    """A group of tasks with one owner.

    `limit` bounds how many may be alive at once; starting one more is a programming error, so
    owners admit work before they start it.
    """

    def __init__(self, name: str, limit: int = 100_000) -> None:
        self.name = name
        self._limit = limit
        self._alive: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._alive)

    def start(self, name: str, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` as a task called `name`; an exception is logged when it ends."""
        assert len(self._alive) < self._limit, f"{self.name}: over {self._limit} tasks"
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}/{name}")
        self._alive.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._alive.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task %s failed", task.get_name(), exc_info=error)

    async def join(self) -> None:
        """Wait for all tasks that are alive now and those that they start."""
        while self._alive:
            await asyncio.wait(set(self._alive))

    async def close(self) -> None:
        """Cancel what is alive and wait for it to end."""
        while self._alive:
            for task in self._alive:
                task.cancel()
            await asyncio.wait(set(self._alive))
