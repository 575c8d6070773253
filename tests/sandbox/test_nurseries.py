"""The server's end of a nursery: exits, refusals, an early end."""

import asyncio
import os
from pathlib import Path

import pytest

from lambent.sandbox.box import Exited, LaunchError
from lambent.sandbox.nurseries import Child, Nursery, exited, server_python


def test_wait_statuses() -> None:
    assert exited(3 << 8) == Exited(3)
    assert exited(9) == Exited(None, 9)
    assert exited(0) == Exited(0)


def test_an_interpreter_that_is_not_there_is_a_launch_error() -> None:
    async def work() -> None:
        with pytest.raises(LaunchError, match="No such file"):
            Nursery(Path("/nowhere/python3"), "exec", [], None, b"")

    asyncio.run(work())


def test_a_nursery_that_cannot_start_fails_what_waits_for_it() -> None:
    async def work() -> None:
        nursery = Nursery(Path("/bin/false"), "exec", [], None, b"")
        loop = asyncio.get_running_loop()
        ends: list[Exited] = []
        child = Child(loop.create_future(), lambda end, rss: ends.append(end))
        reading, writing = os.pipe()
        message = {"uid": None, "groups": [], "limits": {}}
        with pytest.raises(LaunchError, match="ended"):
            await nursery.launch(1, message, [reading, writing], child)
        assert ends == [Exited(None, 9)]
        with pytest.raises(LaunchError):
            nursery.launch(2, message, [reading, writing], child)
        await nursery.kill(1)
        await nursery.close()
        os.close(reading)
        os.close(writing)

    asyncio.run(work())


def test_closing_is_clean_without_any_launch() -> None:
    async def work() -> None:
        nursery = Nursery(server_python(), "exec", [], None, b"")
        await nursery.close()
        await nursery.close()
        assert not Path(f"/proc/{nursery.pid}").exists()

    asyncio.run(work())
