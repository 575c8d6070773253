"""The server's end of a nursery: starts the forked program, sends commands, hears of exits.

One nursery per interpreter of Python, and one (`exec`) for everything that is started by exec. See
nursery.py for the messages and for what happens over there.
"""

import array
import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambent.sandbox.box import Exited, LaunchError

_HERE = Path(__file__).resolve().parent
PROGRAM = _HERE / "bootstrap" / "nursery.py"
PYTHON_BOOTSTRAP = _HERE / "bootstrap" / "python.py"
CELL = _HERE / "bootstrap" / "cell.py"
_MESSAGE_BYTES_MAX = 65_536
_UNSENT_MAX = 10_000


@dataclass(slots=True)
class Child:
    """One forked environment, as the server knows it."""

    launched: asyncio.Future[int]
    on_exit: Callable[[Exited, int], None]
    killed: asyncio.Future[None] | None = None


class Nursery:
    """One running nursery process. `dead` is called once if it ends by itself."""

    def __init__(
        self,
        interpreter: Path,
        kind: str,
        expose: Sequence[Path],
        killers: tuple[int, int] | None,
        filter_program: bytes,
        plan: dict[str, Any] | None = None,
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = {
            "fd": theirs.fileno(),
            "kind": kind,
            "bootstrap": str(PYTHON_BOOTSTRAP),
            "expose": list(map(str, expose)),
            "killers": killers,
            "filter": filter_program.hex(),
            "cell": str(CELL),
            "plan": plan,
        }
        command = [str(interpreter), "-I", "-S", str(PROGRAM), json.dumps(options)]
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                    command, env={}, cwd="/", stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()]
                )
        except OSError as error:
            ours.close()
            raise LaunchError(f"{interpreter}: {error.strerror}") from error
        ours.setblocking(False)
        self.pid = self._process.pid
        self.alive = True
        self.reason = f"the nursery of {interpreter} ended"
        self._sock, self._loop = ours, asyncio.get_running_loop()
        self._children: dict[int, Child] = {}
        self._unsent: list[tuple[bytes, list[int]]] = []
        self._loop.add_reader(ours, self._readable)

    # ---- commands ----

    def launch(
        self, box: int, message: dict[str, Any], fds: Sequence[int], child: Child
    ) -> "asyncio.Future[int]":
        """Fork an environment; its pid. The descriptors may be closed at once. LaunchError."""
        if not self.alive:
            raise LaunchError(self.reason)
        self._children[box] = child
        held = [os.dup(fd) for fd in fds]
        self._send({"op": "launch", "box": box, **message}, held)
        return child.launched

    def knows(self, box: int) -> bool:
        """Whether an environment was asked for, and not forgotten since."""
        return box in self._children

    def signal(self, box: int, number: int) -> None:
        """Signal an environment's process group."""
        self._send({"op": "kill", "box": box, "signal": number, "final": False}, [])

    async def kill(self, box: int) -> None:
        """SIGKILL everything of an environment; returns when no process of it is left.

        Its exit, if it ever ran, has been reported by then.
        """
        child = self._children.get(box)
        if child is None or not self.alive:
            return
        if child.killed is None:
            child.killed = self._loop.create_future()
            self._send({"op": "kill", "box": box, "signal": 9, "final": True}, [])
        await asyncio.shield(child.killed)

    def forget(self, box: int) -> None:
        """The environment has been closed."""
        self._children.pop(box, None)

    def _send(self, message: dict[str, Any], fds: list[int]) -> None:
        assert len(self._unsent) < _UNSENT_MAX, "a nursery does not take its messages"
        self._unsent.append((json.dumps(message).encode(), fds))
        if len(self._unsent) == 1:
            self._flush()

    def _flush(self) -> None:
        while self._unsent:
            data, fds = self._unsent[0]
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
            try:
                self._sock.sendmsg([data], rights)
            except BlockingIOError:
                self._loop.add_writer(self._sock, self._writable)
                return
            except OSError:
                self._drop_unsent()  # it is gone; the reader notices
                return
            self._unsent.pop(0)
            for fd in fds:
                os.close(fd)

    def _writable(self) -> None:
        self._loop.remove_writer(self._sock)
        self._flush()

    def _drop_unsent(self) -> None:
        for _, fds in self._unsent:
            for fd in fds:
                os.close(fd)
        self._unsent.clear()

    # ---- reports ----

    def _readable(self) -> None:
        while self.alive:
            try:
                data = self._sock.recv(_MESSAGE_BYTES_MAX)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._died()
                return
            self._heard(json.loads(data))

    def _heard(self, report: dict[str, Any]) -> None:
        match report:
            case {"launched": box, "pid": pid}:
                if not self._children[box].launched.done():
                    self._children[box].launched.set_result(pid)
            case {"failed": box, "text": text}:
                _fail(self._children[box].launched, text)
            case {"exited": box, "status": status, "rss_kib": rss_kib}:
                if box in self._children:
                    self._children[box].on_exit(exited(status), rss_kib)
            case {"killed": box}:
                child = self._children.get(box)
                if child and child.killed and not child.killed.done():
                    child.killed.set_result(None)
            case {"unusable": text}:
                self.reason = text

    def _died(self) -> None:
        """Its children die with it (parent-death signal): report every one as killed."""
        self.alive = False
        self._loop.remove_reader(self._sock)
        self._loop.remove_writer(self._sock)
        self._sock.close()
        self._drop_unsent()
        self._process.wait()  # it closed its socket by ending, so this does not wait
        for child in list(self._children.values()):
            _fail(child.launched, self.reason)
            if child.killed and not child.killed.done():
                child.killed.set_result(None)
            child.on_exit(Exited(None, 9), 0)

    async def close(self) -> None:
        """End it; it kills what it started on its way out."""
        if self.alive:
            self._sock.shutdown(socket.SHUT_WR)
            ended = await asyncio.to_thread(self._process.wait)
            assert ended is not None
            self._readable()  # the last reports, then the end
        assert not self.alive


def _fail(future: asyncio.Future[int], text: str) -> None:
    if not future.done():
        future.set_exception(LaunchError(text))
        future.exception()  # whoever awaits it gets it; nobody has to


def exited(status: int) -> Exited:
    """A wait status as an exit."""
    if os.WIFSIGNALED(status):
        return Exited(None, os.WTERMSIG(status))
    return Exited(os.WEXITSTATUS(status))


def server_python() -> Path:
    """The real binary of the server's own interpreter (not a virtual environment's link)."""
    return Path(os.path.realpath(sys.executable))
