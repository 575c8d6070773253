"""What every test may ask for. Async tests run on uvloop; servers are the real thing on port 0."""

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.loops import run
from tests.servers import LambentProcess, ThreadServer, settings_for_tests

# boto3 must see nothing of the machine it runs on.
for _name in [name for name in os.environ if name.startswith(("AWS_", "LAMBENT_"))]:
    del os.environ[_name]
os.environ |= {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
}


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """`async def test_...` runs on a loop of its own and may leave no task behind."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = pyfuncitem._fixtureinfo.argnames
    run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadServer]:
    """A server that the tests of one module share; use names of your own."""
    with ThreadServer(settings_for_tests()) as running:
        yield running


@pytest.fixture
def server_factory() -> Iterator[Callable[..., ThreadServer]]:
    """Servers with settings of your choice: `server_factory(virtual_clock=True, data=folder)`."""
    with ExitStack() as stack:

        def start(**changes: Any) -> ThreadServer:
            return stack.enter_context(ThreadServer(settings_for_tests(**changes)))

        yield start


@pytest.fixture
def virtual_server(server_factory: Callable[..., ThreadServer]) -> ThreadServer:
    """A server whose clock stands still until `.clock` moves it."""
    return server_factory(virtual_clock=True)


@pytest.fixture
def enforcing_server(server_factory: Callable[..., ThreadServer]) -> ThreadServer:
    """A server that verifies signatures; `.client` signs as root."""
    return server_factory(enforce=True)


@pytest.fixture
def lambent_process(tmp_path: Path) -> Iterator[Callable[..., LambentProcess]]:
    """`lambent serve` processes: `lambent_process("--auth", "enforce", data=folder)`, started."""
    started: list[LambentProcess] = []

    def start(*arguments: str, data: Path | str | None = None, **env: str) -> LambentProcess:
        process = LambentProcess(data or tmp_path / "data", *arguments, env=env)
        started.append(process)
        return process.start()

    yield start
    for process in started:
        process.close()
