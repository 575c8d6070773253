"""A prepared image (once, in the cache folder), and one sandbox per test process."""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvloop

from lambent.sandbox.microvm import MicrovmSandbox
from lambent.sandbox.microvm.disks import DiskError
from lambent.sandbox.microvm.image import ImageError, load
from lambent.sandbox.microvm.machine import missing_programs
from lambent.sandbox.microvm.packages import PackageError
from lambent.sandbox.microvm.prepare import prepare
from tests.sandbox.support import CACHE, Bench

IMAGE = CACHE / "microvm"
LIMIT_S = 60.0


def image_folder() -> Path:
    """The image; prepared once on this machine. Skips the test where that cannot be done."""
    if missing := missing_programs(os.environ.get("PATH", "")):
        pytest.skip("; ".join(missing))
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "microvm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            load(IMAGE)
        except ImageError:
            try:
                prepare(IMAGE)
            except (PackageError, DiskError, OSError) as error:
                pytest.skip(f"no microVM image can be prepared here: {error}")
    return IMAGE


class MicrovmBench(Bench):
    """Code, output and launches, on machines under software emulation."""

    sandbox: MicrovmSandbox  # type: ignore[assignment]

    def __init__(self, loop: asyncio.AbstractEventLoop, sandbox: MicrovmSandbox) -> None:
        super().__init__(sandbox)  # type: ignore[arg-type]
        self._loop = loop

    def run(self, work: Callable[["MicrovmBench"], Awaitable[None]]) -> None:
        """Run a test's coroutine and close what it launched."""

        async def bounded() -> None:
            self.output.clear()
            try:
                async with asyncio.timeout(LIMIT_S):
                    await work(self)
            finally:
                for box in list(self.sandbox._boxes):
                    await box.close()

        self._loop.run_until_complete(bounded())


@contextmanager
def a_bench(image: Path) -> Iterator[MicrovmBench]:
    loop = uvloop.new_event_loop()
    sandbox = MicrovmSandbox(
        home=Path("/nowhere"),
        search_path=os.environ.get("PATH", ""),
        image=image,
        accelerator="tcg",
    )
    try:
        yield MicrovmBench(loop, sandbox)
    finally:
        loop.run_until_complete(sandbox.close())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
