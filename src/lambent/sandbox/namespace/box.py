"""One environment of the `namespace` level: a `ProcessBox` that came out of a blank."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

from lambent.sandbox.box import Answer, Exited, InitError, Invocation, Spec
from lambent.sandbox.memory import MIB
from lambent.sandbox.namespace.blanks import Blank, close_all
from lambent.sandbox.namespace.cgroups import Cgroups, MemoryGroup
from lambent.sandbox.process_box import Owner, ProcessBox

_SIGKILL = 9
FREEZE_AFTER_S = 0.01
"""How long an environment runs on after its answer. AWS stops it at once."""


class KeptTmp:
    """The mount name space of an environment that is gone: its /tmp and its user, for the next."""

    def __init__(self, mounts: int, uid: int | None, release: Callable[[int | None], None]) -> None:
        self.mounts, self._uid, self._release = mounts, uid, release

    def take_uid(self) -> int | None:
        """The user that the files belong to; the caller gives it back."""
        uid, self._uid = self._uid, None
        return uid

    def discard(self) -> None:
        """Let the kernel forget it. Idempotent."""
        if self.mounts >= 0:
            os.close(self.mounts)
            self.mounts = -1
        self._release(self.take_uid())


class NamespaceBox(ProcessBox):
    """See `Box`. Made by `NamespaceSandbox.launch`, which gives it its blank."""

    def __init__(self, sandbox: Owner, blank: Blank, spec: Spec, cgroups: Cgroups) -> None:
        super().__init__(sandbox, blank.number, spec, blank.uid)
        self.pid = blank.pid
        self.nursery = blank.nursery
        self.group: MemoryGroup | None = cgroups.memory(blank.number)
        self.listeners, self._servers = blank.listeners, blank.servers
        self._cgroups = cgroups
        self._mounts = blank.mounts
        self._pidfd = -1
        self._frozen = False
        self._freezing: asyncio.TimerHandle | None = None
        self._limited = False
        self.when_ready: Callable[[], None] | None = None
        """Called at the end of init: what may only begin when nobody waits for this box."""

    async def ready(self) -> InitError | None:
        """Wait for the end of init, which runs at full speed. Errors: BoxGone."""
        result = await super().ready()
        if not self._limited:
            self._limited = True
            self._cgroups.limit_cpu(self.number, self._spec.memory_mib)
            if self.when_ready is not None:
                self.when_ready()
        return result

    async def invoke(self, invocation: Invocation) -> Answer:
        """One event and its answer. Errors: BoxGone."""
        self.thaw()
        return await super().invoke(invocation)

    def resident_bytes(self) -> int:
        """For the memory watch: what is charged, unless it may be /tmp; then a closer look."""
        if self.group is None:
            return super().resident_bytes()
        charged = self.group.charged_bytes()
        if charged <= self._spec.memory_mib * MIB:
            return 0
        return self.group.resident_bytes()

    def memory_used_mib(self) -> int:
        """Peak memory so far, MiB rounded up: of the runtime by itself, or of all its processes."""
        if self.group is not None:
            charged = self.group.charged_bytes()
            if charged > max(self._peak_bytes, self._told_bytes()):
                self._peak_bytes = max(self._peak_bytes, self.group.resident_bytes())
        return super().memory_used_mib()

    def freeze(self) -> None:
        """Stop the runtime soon, once it waits for an event: nothing runs between invocations.

        `FREEZE_AFTER_S` later, so that one event on the heels of another costs no signals.
        """
        if self._freezing is None and not self._frozen:
            loop = asyncio.get_running_loop()
            self._freezing = loop.call_later(FREEZE_AFTER_S, self._freeze)

    def _freeze(self) -> None:
        self._freezing = None
        if self._exited.done() or self.conversation is None:
            return
        if self.conversation.is_idle():
            self._frozen = self._signal(signal.SIGSTOP)
        else:
            self.freeze()

    def thaw(self) -> None:
        """Let it go on. Idempotent."""
        if self._freezing is not None:
            self._freezing.cancel()
            self._freezing = None
        if self._frozen:
            self._frozen = False
            self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> bool:
        """By a descriptor, which can never name another process."""
        with suppress(OSError):
            if self._pidfd < 0:
                self._pidfd = os.pidfd_open(self.pid)
            signal.pidfd_send_signal(self._pidfd, number)
            return True
        return False

    def keep_tmp(self) -> KeptTmp | None:
        """Take the environment's /tmp, before or after `close`, so that it outlives the box."""
        mounts, self._mounts = self._mounts, -1
        uid, self.uid = self.uid, None
        return KeptTmp(mounts, uid, self._sandbox.release) if mounts >= 0 else None

    def has_exited(self, exited: Exited, rss_kib: int) -> None:
        """The process was waited for."""
        if exited.signal == _SIGKILL and self.group is not None and self.group.was_exceeded():
            self._out_of_memory = True
        super().has_exited(exited, rss_kib)

    async def _close(self, grace_s: float) -> None:
        self.thaw()
        await super()._close(grace_s)
        self._let_go()

    def _let_go(self) -> None:
        """Close the descriptors that lead into the cell."""
        close_all(self.listeners, self._servers)
        if self.group is not None:
            self.group.close()
        for fd in (self._pidfd, self._mounts):
            if fd >= 0:
                os.close(fd)
        self._pidfd = self._mounts = -1


def listener_for(box: NamespaceBox, port: int) -> socket.socket | None:
    """Take the socket that listens on `port` inside, if there is one."""
    for sock in box.listeners:
        if sock.getsockname()[1] == port:
            box.listeners.remove(sock)
            return sock
    return None
