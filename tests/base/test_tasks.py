"""Tasks are named, bounded, waited for; a failure is logged, never lost."""

import asyncio
import logging

import pytest

from lambent.base.tasks import Tasks


async def test_join_waits_for_what_tasks_start_themselves() -> None:
    tasks, done = Tasks("group"), []

    async def child() -> None:
        await asyncio.sleep(0)
        done.append("child")

    async def parent() -> None:
        await asyncio.sleep(0)
        tasks.start("child", child())
        done.append("parent")

    tasks.start("parent", parent())
    assert len(tasks) == 1
    await tasks.join()
    assert done == ["parent", "child"]
    assert len(tasks) == 0


async def test_a_failure_is_logged_with_its_name(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise LookupError("gone")

    tasks = Tasks("group")
    with caplog.at_level(logging.ERROR, "lambent.tasks"):
        task = tasks.start("broken", fail())
        await tasks.join()
        await asyncio.sleep(0)
    assert task.get_name() == "group/broken"
    assert [record.message for record in caplog.records] == ["task group/broken failed"]
    assert "gone" in caplog.text


async def test_close_cancels_and_waits_and_cancellation_is_no_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ended: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("x")

    tasks = Tasks("group")
    for number in range(3):
        tasks.start(str(number), forever())
    await asyncio.sleep(0)
    await tasks.close()
    await tasks.close()
    assert ended == ["x"] * 3
    assert caplog.records == []


async def test_one_task_over_the_limit_is_a_programming_error() -> None:
    tasks = Tasks("group", limit=1)
    tasks.start("one", asyncio.sleep(0))
    work = asyncio.sleep(0)
    with pytest.raises(AssertionError, match="group: over 1 tasks"):
        tasks.start("two", work)
    work.close()
    await tasks.join()
