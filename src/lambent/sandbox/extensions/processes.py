"""External extensions as processes: every executable in /opt/extensions, before the runtime.

An extension is executed by a nursery, as a runtime of `provided.*` is: same identity, same limits,
output into the same log. It sees the function's variables without those that describe the runtime.
Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-extensions.html
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lambent.sandbox.box import Exited, LaunchError, Spec
from lambent.sandbox.channel import LAUNCH_FAILED, START, Channel, Frame, encode
from lambent.sandbox.extensions.api import EXTENSIONS_MAX, Extension, ExtensionsApi, State
from lambent.sandbox.nurseries import Child, Nursery
from lambent.sandbox.output import Output

_HIDDEN = (
    "AWS_EXECUTION_ENV",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_XRAY_CONTEXT_MISSING",
    "AWS_XRAY_DAEMON_ADDRESS",
    "LAMBDA_RUNTIME_DIR",
    "LAMBDA_TASK_ROOT",
    "_AWS_XRAY_DAEMON_ADDRESS",
    "_AWS_XRAY_DAEMON_PORT",
    "_HANDLER",
    "_X_AMZN_TRACE_ID",
)


def external_files(spec: Spec) -> list[Path]:
    """The executables that are external extensions, by name."""
    if spec.layers_root is None:
        return []
    try:
        found = sorted((spec.layers_root / "extensions").iterdir())
    except OSError:
        return []
    return [file for file in found if file.is_file() and os.access(file, os.X_OK)]


def extension_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What an extension sees of the runtime's environment."""
    return {name: text for name, text in environment.items() if name not in _HIDDEN}


class ExtensionProcess:
    """One external extension: from its fork until nothing of it is left."""

    def __init__(self, name: str, nursery: Nursery, number: int) -> None:
        self.name, self.pid = name, 0
        self.exited: asyncio.Future[Exited] = asyncio.get_running_loop().create_future()
        self._nursery, self._number = nursery, number
        self._output: Output | None = None
        self._channel: Channel | None = None

    async def start(
        self,
        message: dict[str, Any],
        start: Mapping[str, object],
        on_line: Callable[[bytes], None],
        on_failed: Callable[[str], None],
    ) -> None:
        """Fork and execute it. `message`, `start`: see nursery.py. Errors: LaunchError."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            if message["uid"] is not None:
                os.fchown(writing, message["uid"], message["uid"])
            self._output = Output(reading, on_line, records=False)

            def heard(frame: Frame) -> None:
                if frame.kind == LAUNCH_FAILED:
                    on_failed(_reason(frame.payload))

            self._channel = Channel(ours, heard, lambda: None)
            self._channel.send(encode(START, payload=json.dumps(start).encode()))
            launched: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            child = Child(launched, self._ended)
            descriptors = [writing, theirs.fileno()]
            pid = self._nursery.launch(self._number, message, descriptors, child)
        finally:
            theirs.close()
            os.close(writing)
        self.pid = await pid

    def _ended(self, exited: Exited, _rss_kib: int) -> None:
        if not self.exited.done():
            if self._channel is not None:
                self._channel.drain()  # why it could not be executed comes before its exit
            if self._output is not None:
                self._output.drain()
            self.exited.set_result(exited)

    async def close(self) -> None:
        """Kill what is left of it."""
        if self._nursery.knows(self._number):
            await self._nursery.kill(self._number)
            self._nursery.forget(self._number)
        self._ended(Exited(None, 9), 0)
        if self._channel is not None:
            self._channel.close()
        if self._output is not None:
            self._output.close()


async def start_all(
    spec: Spec,
    api: ExtensionsApi,
    processes: list[Any],
    make: Callable[[str], ExtensionProcess],
    start: Callable[[Path, ExtensionProcess, Callable[[str], None]], Any],
) -> None:
    """Start every external extension of `spec`. A failure is the environment's init failure."""
    for count, file in enumerate(external_files(spec)):
        extension = api.expect(file.name)
        if count >= EXTENSIONS_MAX:
            _fail(api, extension, f"Extension limit ({EXTENSIONS_MAX}) reached")
            return
        process = make(file.name)
        processes.append(process)
        process.exited.add_done_callback(partial(_ended, api, extension))

        def failed(reason: str, extension: Extension = extension) -> None:
            _fail(api, extension, f"fork/exec /opt/extensions/{extension.name}: {reason}")

        try:
            await start(file, process, failed)
        except LaunchError as error:
            failed(str(error))


def _ended(api: ExtensionsApi, extension: Extension, exited: asyncio.Future[Exited]) -> None:
    api.process_ended(extension, exited.result())


def _fail(api: ExtensionsApi, extension: Extension, text: str) -> None:
    api.fail("Extension.LaunchError", text, extension, State.LAUNCH_ERROR)


def _reason(report: bytes) -> str:
    try:
        return str(json.loads(report)["text"]).lower()
    except (ValueError, KeyError, TypeError):
        return "unknown error"
