"""Lambent for tests: the real server on a thread of this process, or as a process of its own."""

import asyncio
import contextlib
import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Coroutine, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Self

import boto3
import uvloop
from botocore.config import Config

from lambent.base.config import Settings

ACCOUNT = "000000000000"
READY = re.compile(
    r"lambent ready (http://\S+:\d+) in \d+\.\d\d s \(data (.+), isolation (\w+), auth (\w+)\)"
)
START_S_MAX = 30.0
"""A server that is not ready by then is broken; this is a bound, not a wait."""


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()


def make_client(
    service: str,
    url: str,
    *,
    account: str = ACCOUNT,
    region: str = "us-east-1",
    key: str = "",
    secret: str = "test",
    token: str | None = None,
    **config: Any,
) -> Any:
    """A boto3 client of the server at `url`: no retries, short timeouts, nothing from outside."""
    options = {
        "retries": {"total_max_attempts": 1},
        "connect_timeout": 5,
        "read_timeout": 60,
        "s3": {"addressing_style": "path"},
        "max_pool_connections": 32,
    } | config
    return _session().client(
        service,
        endpoint_url=url,
        region_name=region,
        aws_access_key_id=key or account,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(**options),
    )


class _Clients:
    """What can be asked for boto3 clients, and closes them at its end."""

    url: str

    def __init__(self) -> None:
        self._clients = contextlib.ExitStack()

    def client(self, service: str, **options: Any) -> Any:
        """A boto3 client; options: account, region, key, secret, token and botocore's Config."""
        return self._keep(make_client(service, self.url, **self._credentials() | options))

    def _credentials(self) -> dict[str, Any]:
        return {}

    def _keep(self, client: Any) -> Any:
        self._clients.callback(client.close)
        return client


class ClockControl:
    """Moves a server's virtual clock; each move returns after the work that fell due is done."""

    def __init__(self, server: "ThreadServer") -> None:
        self._server = server

    def now(self) -> float:
        """Platform time, seconds since the epoch."""
        return float(self._server.platform.clock.now())

    def advance(self, by_s: float) -> None:
        """Move forward."""
        self._server.run(self._server.platform.clock.advance(by_s))

    def set(self, when_s: float) -> None:
        """Move to a time."""
        self._server.run(self._server.platform.clock.set(when_s))


class ThreadServer(_Clients):
    """A server on a thread, on a free port. `start` and `stop`, or a with block."""

    def __init__(self, settings: Settings) -> None:
        super().__init__()
        self.settings = settings
        self.clock = ClockControl(self)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._before: set[threading.Thread] = set()

    @property
    def platform(self) -> Any:
        """The platform, to look into; touch it only through `run`."""
        return self.server.platform

    @property
    def root(self) -> Any:
        """The root key under `--auth enforce`."""
        return self.platform.identities.root

    def _credentials(self) -> dict[str, Any]:
        if self.settings.enforce:
            return {"key": self.root.access_key, "secret": self.root.secret}
        return {}

    def start(self) -> Self:
        """Returns when it is ready; raises what `Server.start` raises."""
        ready: Future[Any] = Future()
        self._before = set(threading.enumerate())
        self._thread = threading.Thread(target=self._main, args=(ready,), name="lambent-server")
        self._thread.start()
        try:
            self.server = ready.result(START_S_MAX)
        except BaseException:
            self._thread.join(START_S_MAX)
            raise
        self.url = self.server.url
        return self

    def stop(self) -> None:
        """Stop in order; fails if a thread or a task is left."""
        self._clients.close()
        thread, self._thread = self._thread, None
        if thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._end.set)
        thread.join(START_S_MAX)
        assert not thread.is_alive(), "the server did not stop"
        left = [
            one.name
            for one in set(threading.enumerate()) - self._before
            if one.is_alive() and "lambent" in one.name
        ]
        assert not left, f"threads left behind: {left}"
        assert not self._left, f"tasks left behind: {self._left}"

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of a coroutine run on the server's loop."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_S_MAX)

    def connections(self) -> int:
        """HTTP connections that are open now, as the server sees them."""

        async def count() -> int:
            await asyncio.sleep(0)
            return int(self.server._http.connection_count)

        return int(self.run(count()))

    def tasks(self) -> set[str]:
        """Names of the tasks that live on the server's loop now."""

        async def names() -> set[str]:
            me = asyncio.current_task()
            return {task.get_name() for task in asyncio.all_tasks() if task is not me}

        return set(self.run(names()))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _main(self, ready: "Future[Any]") -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            self._loop = runner.get_loop()
            runner.run(self._serve(ready))

    async def _serve(self, ready: "Future[Any]") -> None:
        from lambent.cli.serve import Server

        self._end = asyncio.Event()
        self._left: list[str] = []
        try:
            server = await Server.start(self.settings)
        except BaseException as error:
            ready.set_exception(error)
            return
        ready.set_result(server)
        await self._end.wait()
        await server.stop()
        me = asyncio.current_task()
        for _ in range(3):
            await asyncio.sleep(0)
        self._left = [task.get_name() for task in asyncio.all_tasks() if task is not me]


class LambentProcess(_Clients):
    """`lambent serve` as a process that can be killed and started again on the same data."""

    def __init__(
        self, data: Path | str, *arguments: str, env: Mapping[str, str] | None = None
    ) -> None:
        super().__init__()
        self.data = data
        self.arguments = arguments
        self.env = dict(env or {})
        self.stderr = b""
        self.ready_line = ""
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        """Returns when the ready line has been read. RuntimeError with stderr if it never comes."""
        assert self._process is None, "it runs already"
        command = [sys.executable, "-m", "lambent.cli.main", "serve", "--port", "0"]
        command += ["--data", str(self.data), *self.arguments]
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith("LAMBENT_")
        }
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=kept | self.env
        )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._readers = [
            threading.Thread(target=self._read_stdout, args=(self._process,), daemon=True),
            threading.Thread(target=self._read_stderr, args=(self._process,), daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        line = self._lines.get(timeout=START_S_MAX)
        if line is None:
            status = self._reap()
            raise RuntimeError(f"lambent ended with {status}: {self.stderr.decode()}")
        self.ready_line = line.decode().rstrip("\n")
        found = READY.fullmatch(self.ready_line)
        assert found, f"not the ready line: {line!r}"
        self.url = found[1]
        return self

    def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self.signal(signal.SIGKILL)
        self._reap()

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        if self._process is None:
            return 0
        self.signal(signal.SIGTERM)
        return self._reap()

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    def restart(self) -> Self:
        """Start again on the same data; clients made before are for the old address."""
        return self.start()

    def close(self) -> None:
        """End it, whatever its state."""
        self._clients.close()
        if self._process is not None:
            self.kill()

    def further_lines(self) -> list[bytes]:
        """What else came on stdout, once it has ended."""
        assert self._process is None, "it still runs"
        return list(self._rest)

    def _reap(self) -> int:
        process, self._process = self._process, None
        assert process is not None
        status = process.wait(START_S_MAX + 30)
        for reader in self._readers:
            reader.join()
        self._rest = [line for line in self._drain() if line is not None]
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.close()
        return status

    def _drain(self) -> Iterator[bytes | None]:
        while not self._lines.empty():
            yield self._lines.get()

    def _read_stdout(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _read_stderr(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stderr is not None
        self.stderr = process.stderr.read()


def settings_for_tests(**changes: Any) -> Settings:
    """Settings on a free port, throw-away unless `data` says otherwise."""
    return replace(Settings(port=0, data=None, isolation="process"), **changes)
