"""One environment of the `microvm` level: a machine, its port, and the runtime inside."""

import asyncio
import json
import os
import socket
import time
from collections.abc import Sequence
from typing import Any, Protocol

from lambent.base.tasks import Tasks
from lambent.sandbox.box import Answer, Exited, InitError, Invocation, LaunchError, Spec
from lambent.sandbox.channel import START, encode
from lambent.sandbox.conversation import Conversation, FramedConversation, HttpConversation
from lambent.sandbox.microvm.image import USER_ID
from lambent.sandbox.microvm.link import CHANNEL, Link
from lambent.sandbox.microvm.machine import Machine
from lambent.sandbox.nurseries import exited as exit_of
from lambent.sandbox.output import Lines

_SIGKILL, _SIGTERM = 9, 15
_HANG_UP_GRACE_S = 0.5  # for an exit that is under way to be reported as what it is
_MIB = 1 << 20
_PROCESSES_MAX = 1024
_API_PORTS = (9001, 9002)
_LIMITS = {"RLIMIT_NOFILE": 1024, "RLIMIT_CORE": 0}


class Owner(Protocol):
    """What a box needs of its sandbox."""

    tasks: Tasks

    def forget(self, box: "MicrovmBox") -> None:
        """The box has been closed."""


class MicrovmBox:
    """See `Box`. Made by `MicrovmSandbox.launch`; `pid` is QEMU's.

    Invariant: the exit is set once, after the output and the answers sent before it were taken in.
    """

    def __init__(self, sandbox: Owner, spec: Spec, uid: int | None) -> None:
        self.id, self.pid, self.uid = spec.id, 0, uid
        self.extensions: Any = None  # there are none at this level yet
        self._sandbox, self._spec = sandbox, spec
        self._loop = asyncio.get_running_loop()
        self._machine: Machine | None = None
        self._link: Link | None = None
        self._conversation: Conversation | None = None
        self._lines: Lines | None = None
        self._launched: asyncio.Future[None] = self._loop.create_future()
        self._exited: asyncio.Future[Exited] = self._loop.create_future()
        self._peak_bytes = 0
        self._closing: asyncio.Task[None] | None = None

    # ---- launching ----

    async def start(
        self, machine: Machine, argv: Sequence[str], endpoint: tuple[str, int] | None
    ) -> None:
        """Make a restored blank guest this environment; returns when its process exists.

        `argv` is empty for Python, which is forked. Errors: LaunchError.
        """
        self._machine, self.pid = machine, machine.pid
        provided = self._spec.runtime.startswith("provided")
        self._lines = Lines(self._spec.on_output, records=not provided)
        environment = dict(self._spec.environment)
        tunnels: list[tuple[int, int]] = []
        targets: list[tuple[str, int]] = [("127.0.0.1", 0)]
        ours, theirs = socket.socketpair()
        if provided:
            self._conversation = http = HttpConversation(self.take_output)
            host, _, port = (await http.listen()).partition(":")
            targets[0] = (host, int(port))
            inside = next(p for p in _API_PORTS if endpoint is None or p != endpoint[1])
            tunnels.append((inside, 0))
            environment["AWS_LAMBDA_RUNTIME_API"] = f"127.0.0.1:{inside}"
            http.attach(ours, self._start_frame(environment, argv))
        else:
            environment.pop("AWS_LAMBDA_RUNTIME_API", None)
            environment.setdefault("LAMBDA_TASK_ROOT", "/var/task")
            environment.setdefault("_HANDLER", self._spec.handler)
            start = self._start_frame(environment, argv)
            self._conversation = FramedConversation(ours, start, self.take_output, self._hung_up)
        if endpoint is not None:
            targets.append(endpoint)
            tunnels.append((endpoint[1], 1))
        self._link = Link(
            machine.link,
            on_control=self._heard,
            on_output=self._lines.feed,
            on_end=self._port_ended,
            targets=targets,
        )
        machine.exited.add_done_callback(lambda _: self._port_ended())
        self._link.tell(self._order(tunnels, argv))
        self._link.attach(CHANNEL, theirs)
        await asyncio.shield(self._launched)

    def _start_frame(self, environment: dict[str, str], argv: Sequence[str]) -> bytes:
        """What the runtime is told: see guest.py, `child`."""
        start = {
            "cwd": "/var/task",
            "environment": environment,
            "handler": self._spec.handler,
            "layers": "/opt" if self._spec.layers_root else None,
            "argv": list(argv),
            "channel": not self._spec.runtime.startswith("provided"),
        }
        return encode(START, payload=json.dumps(start).encode())

    def _order(self, tunnels: list[tuple[int, int]], argv: Sequence[str]) -> dict[str, Any]:
        """What process 1 is told."""
        disks = ["/var/task", "/tmp"]  # noqa: S108 - the guest's own
        if self._spec.layers_root is not None:
            disks.append("/opt")
        order = {
            "entropy": os.urandom(64).hex(),
            "uid": USER_ID,
            "disks": disks,
            "memory_bytes": self._spec.memory_mib * _MIB,
            "processes_max": _PROCESSES_MAX,
            "tunnels": tunnels,
            "limits": _LIMITS,
            "kind": "exec" if argv else "python",
        }
        return {"time_ns": _now_ns(), "activate": order}

    # ---- Box ----

    async def ready(self) -> InitError | None:
        """Wait for the end of init. Errors: BoxGone."""
        assert self._conversation is not None
        return await self._conversation.ready()

    async def invoke(self, invocation: Invocation) -> Answer:
        """One event and its answer. Errors: BoxGone."""
        assert self._conversation is not None
        assert self._link is not None
        self._link.tell({"time_ns": _now_ns()})  # an emulated clock drifts
        return await self._conversation.invoke(invocation)

    async def idle(self) -> None:
        """The runtime waits for its next event. Errors: BoxGone."""
        assert self._conversation is not None
        await self._conversation.idle()

    async def exited(self) -> Exited:
        """Wait for the end of the runtime."""
        return await asyncio.shield(self._exited)

    def memory_used_mib(self) -> int:
        """Peak memory so far, MiB rounded up: the cgroup's, or what the runtime says."""
        said = self._conversation.rss_kib * 1024 if self._conversation else 0
        return -(-max(self._peak_bytes, said) // _MIB)

    async def close(self, *, grace_s: float = 0.0, reason: str = "spindown") -> Exited:  # noqa: ARG002
        """End the machine. Idempotent; `reason` is for extensions."""
        if self._closing is None:
            self._closing = self._sandbox.tasks.start(f"close {self.id}", self._close(grace_s))
        await asyncio.shield(self._closing)
        return self._exited.result()

    # ---- what the guest reports ----

    def take_output(self) -> None:
        """Before an answer is handed on: the unfinished line. The rest came before it already."""
        if self._lines is not None:
            self._lines.flush()

    def _heard(self, message: dict[str, Any]) -> None:
        match message:
            case {"launched": int()}:
                if not self._launched.done():
                    self._launched.set_result(None)
            case {"failed": str(text)}:
                self._fail_launch(f"the guest: {text[:500]}")
            case {"peak": int(peak)}:
                self._peak_bytes = max(self._peak_bytes, min(peak, 1 << 40))
            case {"exited": int(status), "out_of_memory": bool(out_of_memory)}:
                ended = exit_of(status & 0xFFFF)
                if out_of_memory and ended.signal == _SIGKILL:
                    ended = Exited(None, _SIGKILL, out_of_memory=True)
                assert self._link is not None
                self._link.when_closed(lambda: self._end(ended))

    def _fail_launch(self, text: str) -> None:
        if not self._launched.done():
            self._launched.set_exception(LaunchError(text))
            self._launched.exception()  # nobody may be waiting any more

    def _end(self, exited: Exited) -> None:
        """The runtime is gone."""
        if not self._exited.done():
            self._exited.set_result(exited)
            self.take_output()
            if self._conversation is not None:
                self._conversation.end(exited)

    def _port_ended(self) -> None:
        """The machine ended, or its guest broke the rules."""
        machine = self._machine
        if machine is not None and not machine.exited.done():
            machine.process.kill()
        words = machine.complaint() if machine is not None else ""
        self._fail_launch(f"the microVM ended: {words}")
        self._end(Exited(None, _SIGKILL))

    def _hung_up(self) -> None:
        """Our bootstrap's channel ended: the process is ending, or user code closed it."""
        if not self._exited.done():
            self._loop.call_later(_HANG_UP_GRACE_S, self._kill)

    def _kill(self) -> None:
        if not self._exited.done() and self._machine and not self._machine.exited.done():
            self._machine.process.kill()

    # ---- closing ----

    async def _close(self, grace_s: float) -> None:
        if grace_s > 0 and self._link is not None and not self._exited.done():
            self._link.tell({"signal": _SIGTERM})
            await asyncio.wait([self._exited], timeout=grace_s)
        if self._machine is not None:
            await self._machine.kill()
        self._end(Exited(None, _SIGKILL))
        if self._link is not None:
            self._link.close()
            await self._link.join()
        if self._conversation is not None:
            await self._conversation.close()
        self._sandbox.forget(self)


def _now_ns() -> int:
    """The real time: a guest has no other source of it."""
    return time.clock_gettime_ns(time.CLOCK_REALTIME)
