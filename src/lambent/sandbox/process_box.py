"""One environment of the `process` level, from its fork to the removal of its folder."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from lambent.base.tasks import Tasks
from lambent.sandbox.box import (
    Answer,
    BoxGone,
    Exited,
    Extensions,
    InitError,
    Invocation,
    Spec,
    Tmp,
)
from lambent.sandbox.conversation import Conversation
from lambent.sandbox.extensions.conversation import ExtendedConversation, RuntimeEnd
from lambent.sandbox.folders import remove
from lambent.sandbox.memory import MIB, MemoryWatch, peak_bytes, resident_bytes
from lambent.sandbox.nurseries import Nursery
from lambent.sandbox.output import Output

_SIGKILL, _SIGTERM = 9, 15
_HANG_UP_GRACE_S = 0.1  # for an exit that is under way to be reported as what it is


class Owner(Protocol):
    """What a box needs of its sandbox."""

    tasks: Tasks
    watch: MemoryWatch

    def forget(self, box: Any) -> None:
        """The box has been closed."""

    def release(self, uid: int | None) -> None:
        """Nothing runs under `uid` any more."""


class KeptFolder:
    """The folder of an environment that is gone."""

    def __init__(self, folder: Path) -> None:
        self.folder: Path | None = folder

    def discard(self) -> None:
        """Remove it, on a worker thread. Idempotent."""
        folder, self.folder = self.folder, None
        if folder is not None:
            asyncio.get_running_loop().run_in_executor(None, remove, folder)


class ProcessBox:
    """See `Box`. Made by `ProcessSandbox.launch`.

    Invariants: `exited` is set once, after the output and the answers that the process had sent
    were taken in; the uid is given back only after everything that ran under it was killed.
    """

    def __init__(self, sandbox: Owner, number: int, spec: Spec, uid: int | None) -> None:
        self.id = spec.id
        self.pid = 0
        self.number, self.uid = number, uid
        self.bounded = False
        self.tmp: Path | None = None
        self.nursery: Nursery | None = None
        self.conversation: Conversation | None = None
        self.extended: ExtendedConversation | None = None
        self.reason = "spindown"
        self._sandbox, self._spec = sandbox, spec
        self._output: Output | None = None
        self._exited: asyncio.Future[Exited] = asyncio.get_running_loop().create_future()
        self._out_of_memory = False
        self._peak_bytes = 0
        self._closing: asyncio.Task[None] | None = None

    # ---- Box ----

    @property
    def extensions(self) -> Extensions | None:
        """Its extensions; None where there can be none."""
        return self.extended

    async def ready(self) -> InitError | None:
        """Wait for the end of init. Errors: BoxGone."""
        assert self.conversation is not None
        self._sandbox.watch.add(self)
        try:
            return await self.conversation.ready()
        finally:
            self._sandbox.watch.discard(self)

    async def invoke(self, invocation: Invocation) -> Answer:
        """One event and its answer. Errors: BoxGone."""
        assert self.conversation is not None
        self._sandbox.watch.add(self)
        try:
            return await self.conversation.invoke(invocation)
        finally:
            self._sandbox.watch.discard(self)

    async def idle(self) -> None:
        """The runtime waits for its next event. Errors: BoxGone."""
        assert self.conversation is not None
        await self.conversation.idle()

    def freeze(self) -> None:
        """Nothing: at this level it goes on until the next event."""

    def keep_tmp(self) -> Tmp | None:
        """Take its folder, which `close` then leaves."""
        folder, self.tmp = self.tmp, None
        return KeptFolder(folder) if folder is not None else None

    async def exited(self) -> Exited:
        """Wait for the end of the process."""
        return await asyncio.shield(self._exited)

    def memory_used_mib(self) -> int:
        """Peak memory so far, MiB rounded up: the runtime's own figure, and what the watch saw."""
        self._peak_bytes = max(self._peak_bytes, self._told_bytes())
        return -(-self._peak_bytes // MIB)

    def _told_bytes(self) -> int:
        """The peak of the runtime's own process: as it says itself, else as the kernel does."""
        if self.conversation is None:
            return 0
        if not self.conversation.rss_kib and self.pid:
            return peak_bytes(self.pid)
        return self.conversation.rss_kib * 1024

    def resident_bytes(self) -> int:
        """What it uses now, for the memory watch."""
        processes = self.extended.processes if self.extended is not None else ()
        return resident_bytes(self.pid) + sum(resident_bytes(p.pid) for p in processes if p.pid)

    async def close(self, *, grace_s: float = 0.0, reason: str = "spindown") -> Exited:
        """End all its processes and remove what it left. Idempotent."""
        if self._closing is None:
            self.reason = reason
            self._closing = self._sandbox.tasks.start(f"close {self.id}", self._close(grace_s))
        await asyncio.shield(self._closing)
        return self._exited.result()

    # ---- what the parts report ----

    def listen_to(self, fd: int, *, records: bool) -> None:
        """Read the output pipe `fd` from now on."""
        extended = self.extended
        on_line = extended.function_line if extended is not None else self._spec.on_output
        self._output = Output(fd, on_line, records=records)

    def take_output(self) -> None:
        """Deliver what was written before the message that is being handled."""
        if self._output is not None:
            self._output.drain()

    def hung_up(self) -> None:
        """Our bootstrap's channel ended: the process is ending, or user code closed it."""
        if not self._exited.done():
            asyncio.get_running_loop().call_later(_HANG_UP_GRACE_S, self._kill)

    def signal(self, number: int) -> None:
        """Signal the runtime's process group (SIGKILL: all its processes)."""
        if self.nursery is not None and self.nursery.knows(self.number):
            self.nursery.signal(self.number, number)

    def _kill(self) -> None:
        if not self._exited.done() and self.nursery is not None:
            self.nursery.signal(self.number, _SIGKILL)

    def memory_seen(self, size_bytes: int) -> None:
        """The watch looked; over the limit the environment is killed."""
        self._peak_bytes = max(self._peak_bytes, size_bytes)
        over = size_bytes > self._spec.memory_mib * MIB
        if over and not self._out_of_memory:
            self._out_of_memory = True
            self._kill()

    def has_exited(self, exited: Exited, rss_kib: int) -> None:
        """The process was waited for (or never came to be)."""
        if self._exited.done():
            return
        if self._out_of_memory and exited.signal == _SIGKILL:
            exited = Exited(None, _SIGKILL, out_of_memory=True)
        self._peak_bytes = max(self._peak_bytes, rss_kib * 1024)
        self._exited.set_result(exited)
        self.take_output()
        if self.conversation is not None:
            self.conversation.end(exited)

    # ---- closing ----

    async def _close(self, grace_s: float) -> None:
        nursery = self.nursery
        if nursery is not None and nursery.knows(self.number):
            if self.extended is not None:
                await self.extended.shut_down(self.reason, RuntimeEnd(self._exited, self.signal))
            if grace_s > 0 and not self._exited.done():
                nursery.signal(self.number, _SIGTERM)
                await asyncio.wait([self._exited], timeout=grace_s)
            await nursery.kill(self.number)
            nursery.forget(self.number)
        if self.extended is not None:
            for process in self.extended.processes:
                await process.close()
        if not self._exited.done():  # it never came to be
            self._exited.set_result(Exited(None, _SIGKILL))
        if self._output is not None:
            self.take_output()
            self._output.close()
        if self.conversation is not None:
            with suppress(BoxGone):
                self.conversation.end(self._exited.result())
            await self.conversation.close()
        if self.tmp is not None:
            await asyncio.to_thread(remove, self.tmp)
        self._sandbox.forget(self)
