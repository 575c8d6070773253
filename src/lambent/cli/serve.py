"""`lambent serve`: put a platform together, listen, print one line, and stop in order."""

import argparse
import asyncio
import gc
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop

from lambent.base import log
from lambent.base.clock import Clock, RealClock, VirtualClock, monotonic
from lambent.base.config import OPTIONS, Settings, environment, load
from lambent.base.errors import StartupError
from lambent.base.ids import RandomIds
from lambent.base.limits import DRAIN_S_MAX
from lambent.cli.ports import explain_taken
from lambent.gateway.app import Gateway
from lambent.kernel import Platform
from lambent.kernel.service import Registry
from lambent.net import HttpServer, serve
from lambent.sandbox import Doorway, Sandbox, open_sandbox
from lambent.services import SERVICES
from lambent.store import open_store
from lambent.store.protocol import Corrupt


class Server:
    """A running Lambent: what `lambent serve` and in-process tests share."""

    def __init__(self, platform: Platform, http: HttpServer, sandbox: Sandbox) -> None:
        self.platform = platform
        self._http = http
        self._sandbox = sandbox

    @property
    def url(self) -> str:
        """`http://host:port`."""
        return self.platform.endpoint

    @classmethod
    async def start(cls, settings: Settings) -> "Server":
        """Open everything and listen. Errors: StartupError."""
        async with AsyncExitStack() as opened:
            store = await open_store(settings.data)
            opened.push_async_callback(store.close)
            sandbox = open_sandbox(
                settings.isolation,
                home=Path.home(),
                search_path=environment().get("PATH", ""),
                strict_runtimes=settings.strict_runtimes,
            )
            opened.push_async_callback(sandbox.close)
            clock: Clock = VirtualClock() if settings.virtual_clock else RealClock()
            platform = Platform(
                registry=Registry(SERVICES),
                store=store,
                clock=clock,
                ids=RandomIds(),
                settings=settings,
                extras={"sandbox": sandbox},
            )
            if isinstance(clock, VirtualClock):
                clock.on_settle(platform.settled)
            gateway = Gateway(platform, sandbox.name)
            try:
                http = await serve(gateway.handle, host=settings.host, port=settings.port)
            except OSError as error:
                raise StartupError(explain_taken(settings.host, settings.port, error)) from error
            opened.push_async_callback(http.close)
            platform.endpoint = f"http://{settings.host}:{http.port}"
            sandbox.doorway = Doorway(settings.host, http.port, http.listen_too)
            await platform.start()
            gateway.control.ready = True
            opened.pop_all()
        return cls(platform, http, sandbox)

    async def stop(self) -> None:
        """Stop accepting, finish what runs (at most `DRAIN_S_MAX`), give everything back."""
        self._http.stop_accepting()
        await self._http.drain(DRAIN_S_MAX)
        await self.platform.stop()
        await self._http.close()
        await self._sandbox.close()
        await self.platform.store.close()


async def _run(settings: Settings, began_s: float) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await Server.start(settings)
    # What lives now lives for good: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    _leave_root_key(server, settings)
    print(_ready_line(server, settings, monotonic() - began_s), flush=True)
    await stop.wait()
    await server.stop()


def _ready_line(server: Server, settings: Settings, took_s: float) -> str:
    data = settings.data or ":memory:"
    isolation = server.platform.extras["sandbox"].name
    auth = "enforce" if settings.enforce else "off"
    return (
        f"lambent ready {server.url} in {took_s:.2f} s "
        f"(data {data}, isolation {isolation}, auth {auth})"
    )


def _leave_root_key(server: Server, settings: Settings) -> None:
    """Under `--auth enforce`, leave the root key where its owner can find it, and say where.

    Before the ready line: whoever waits for that may read the key at once.
    """
    root = server.platform.identities.root
    if root is None:
        return
    if settings.data is None:
        print(f"root key: {root.access_key} {root.secret}", file=sys.stderr, flush=True)
        return
    file = settings.data / "credentials"
    text = (
        f"[default]\naws_access_key_id = {root.access_key}\naws_secret_access_key = {root.secret}\n"
    )
    if not file.exists() or file.read_text() != text:
        file.touch(mode=0o600)
        file.write_text(text)
    told = f"signatures are verified; root credentials: AWS_SHARED_CREDENTIALS_FILE={file}"
    print(told, file=sys.stderr, flush=True)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Every option of `base.config`."""
    for option in OPTIONS:
        default = option.default or "$XDG_DATA_HOME/lambent"
        parser.add_argument(
            f"--{option.name}",
            choices=option.choices or None,
            help=f"{option.help} [{default}; also {option.variable}]",
        )


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit status. Errors: StartupError."""
    flags = {option.name: getattr(arguments, option.name.replace("-", "_")) for option in OPTIONS}
    settings = load(flags)
    log.configure(settings.log_format)
    try:
        uvloop.run(_run(settings, arguments.began_s))
    except Corrupt as error:
        raise StartupError(f"the data folder is damaged: {error}") from error
    return 0
