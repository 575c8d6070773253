"""Blank environments: isolated and waiting, before anybody knows which function will use them.

Making a cell takes 10 ms and more, most of it waiting for the kernel; occupying one takes less than
one. So for every nursery as many blanks are kept as environments were launched of late (at most
`BLANKS_MAX`), made while nobody waits; a launch takes one, and only a burst has to make its own.

A blank belongs to no box until it is taken. If its process ends before, it is simply dropped.
"""

import array
import asyncio
import json
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from lambent.base.tasks import Tasks
from lambent.sandbox.box import Exited, LaunchError
from lambent.sandbox.channel import HEADER, LAUNCH_FAILED
from lambent.sandbox.nurseries import Child, Nursery

FURNISHED = 22
BLANKS_MAX = 16
"""Kept per nursery, whatever the demand."""
DEMAND_S = 10.0
"""Launches of this last while say how many blanks are wanted."""
IDLE_S = 600.0
"""Without any launch for so long, none are kept."""
_FDS_MAX = 8
_CREDENTIALS_BYTES = 12
_MESSAGE_BYTES_MAX = 4_096


@dataclass(slots=True)
class Blank:
    """A furnished cell and the descriptors that lead into it."""

    number: int
    uid: int | None
    nursery: Nursery
    child: Child
    channel: socket.socket
    output: int
    pid: int = 0
    mounts: int = -1
    """Its mount name space: keeps its /tmp alive."""
    listeners: list[socket.socket] = field(default_factory=list)
    """Listening inside its network."""
    servers: list[asyncio.AbstractServer] = field(default_factory=list)
    """What answers them, where that is decided already."""
    alive: bool = True

    def release(self) -> None:
        """Close every descriptor; for a blank that will not become a box."""
        self.alive = False
        self.channel.close()
        for fd in (self.output, self.mounts):
            if fd >= 0:
                os.close(fd)
        self.output = self.mounts = -1
        close_all(self.listeners, self.servers)


def close_all(listeners: list[socket.socket], servers: list[asyncio.AbstractServer]) -> None:
    """Stop listening inside a cell."""
    for sock in listeners:
        sock.close()
    for server in servers:
        server.close()


async def make(
    nursery: Nursery,
    number: int,
    uid: int | None,
    listen: list[tuple[str, int]],
    keep_mounts: int = -1,
) -> Blank:
    """Fork and furnish one. Errors: LaunchError; then nothing is left of it."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.setblocking(False)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    child = Child(loop.create_future(), lambda _exited, _rss_kib: None)
    blank = Blank(number, uid, nursery, child, ours, reading)

    def ended(_exited: Exited, _rss_kib: int) -> None:
        blank.alive = False

    child.on_exit = ended
    try:
        if uid is not None:
            os.fchown(writing, uid, uid)  # so that /dev/stdout can be opened
        message = {"uid": uid, "groups": [], "parent": 0, "listen": listen}
        fds = [writing, theirs.fileno()]
        if keep_mounts >= 0:
            fds.append(keep_mounts)
        launched = nursery.launch(number, message, fds, child)
        theirs.close()
        await launched
        await _furnished(blank)
    except BaseException:
        await discard(blank)
        raise
    finally:
        theirs.close()
        os.close(writing)
    return blank


async def _furnished(blank: Blank) -> None:
    """Wait for the message that says so; the kernel adds who sent it. Errors: LaunchError."""
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(blank.channel, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(blank.channel)
    space = socket.CMSG_SPACE(_FDS_MAX * 4) + socket.CMSG_SPACE(_CREDENTIALS_BYTES)
    try:
        data, extra, _, _ = blank.channel.recvmsg(_MESSAGE_BYTES_MAX, space)
    except OSError:
        data, extra = b"", []
    fds = array.array("i")
    for level, kind, payload in extra:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(payload[: len(payload) // 4 * 4])
        elif (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
            blank.pid = int.from_bytes(payload[:4], "little")
    if fds:
        blank.mounts, *listening = fds
        blank.listeners = [socket.socket(fileno=fd) for fd in listening]
    if data[:1] == bytes([FURNISHED]):
        blank.channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)
        return
    if data[:1] == bytes([LAUNCH_FAILED]):
        raise LaunchError(str(json.loads(data[HEADER.size :])["text"]))
    raise LaunchError(blank.nursery.reason if not blank.nursery.alive else "its cell died at once")


async def discard(blank: Blank) -> None:
    """End a blank that no box has taken."""
    await blank.nursery.kill(blank.number)
    blank.nursery.forget(blank.number)
    blank.release()


class Blanks:
    """The waiting blanks of one nursery. `make_one` makes another; `on_discard` hears of losses."""

    def __init__(
        self,
        make_one: Callable[[], Awaitable[Blank]],
        on_discard: Callable[[Blank], Coroutine[Any, Any, None]],
        tasks: Tasks,
    ) -> None:
        self._make, self._discard, self._tasks = make_one, on_discard, tasks
        self._loop = asyncio.get_running_loop()
        self.blanks: deque[Blank] = deque()
        self._launches: deque[float] = deque(maxlen=BLANKS_MAX)
        self._filling = False
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self.blanks)

    def take(self) -> Blank | None:
        """One that is ready, if there is; counts as demand either way."""
        self._launches.append(self._loop.time())
        while self.blanks:
            blank = self.blanks.popleft()
            if blank.alive:
                return blank
            self._drop(blank)
        return None

    def wanted(self) -> int:
        """How many blanks recent demand asks for."""
        now_s = self._loop.time()
        if not self._launches or now_s - self._launches[-1] > IDLE_S:
            return 0
        recent = sum(1 for at_s in self._launches if now_s - at_s <= DEMAND_S)
        return min(BLANKS_MAX, max(1, recent))

    def fill(self) -> None:
        """Make what is wanted, one after the other; call this when nobody is waiting."""
        if self._filling or self._closed:
            return
        while len(self.blanks) > max(self.wanted(), 1):
            self._drop(self.blanks.popleft())
        if len(self.blanks) < self.wanted():
            self._filling = True
            self._tasks.start("blanks", self._fill())
        if self._timer is None:
            self._timer = self._loop.call_later(IDLE_S, self._look_again)

    async def _fill(self) -> None:
        try:
            while len(self.blanks) < self.wanted() and not self._closed:
                blank = await self._make()
                self.blanks.append(blank)
        except LaunchError:
            pass  # whoever launches next tries for itself, and hears the reason
        finally:
            self._filling = False
        if self._closed:
            self._drop_all()

    def _look_again(self) -> None:
        self._timer = None
        if not self.wanted():
            self._drop_all()
        elif not self._closed:
            self._timer = self._loop.call_later(IDLE_S, self._look_again)

    def _drop(self, blank: Blank) -> None:
        self._tasks.start("blank", self._discard(blank))

    def _drop_all(self) -> None:
        while self.blanks:
            self._drop(self.blanks.popleft())

    def close(self) -> None:
        """Give up all; the tasks that do so are the owner's to wait for."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._drop_all()
