"""The memory ceiling at a level without cgroups: one periodic look at the busy environments.

Sums the resident memory of an environment's process and its descendants, and reports who is over.
It looks every `PERIOD_S` and only while something is busy; between two looks a function may
overshoot, which RLIMIT_DATA bounds (`process.py`). Pages shared with the nursery count: AWS counts
its runtime, too. Who is `bounded` by the kernel is looked at less and less often while nothing
changes, so that a thousand sleeping functions cost nothing.
"""

import asyncio
import os
from contextlib import suppress
from typing import Protocol

PERIOD_S = 0.02
_PAUSE_PERIODS_MAX = 32
_PAGE_BYTES = os.sysconf("SC_PAGESIZE")
_PROCESSES_MAX = 64  # of one environment that one look reads; bounds the time on the loop
MIB = 1 << 20


class Watched(Protocol):
    """What the watch needs of a box."""

    bounded: bool
    """Whether the kernel, too, keeps it within limits."""

    def resident_bytes(self) -> int:
        """What it uses now."""

    def memory_seen(self, size_bytes: int) -> None:
        """Called with each look's sum."""


class _Pace:
    """How often one environment is looked at: half as often each time that nothing has changed."""

    __slots__ = ("last_bytes", "left", "pause")

    def __init__(self) -> None:
        self.left = self.pause = 0
        self.last_bytes = -1

    def next(self, size_bytes: int) -> None:
        """Look again after a pause that depends on whether `size_bytes` is news."""
        same = size_bytes == self.last_bytes
        self.pause = min(_PAUSE_PERIODS_MAX, self.pause * 2 + 1) if same else 0
        self.left, self.last_bytes = self.pause, size_bytes


class MemoryWatch:
    """Watches whoever is in it."""

    def __init__(self) -> None:
        self._busy: dict[Watched, _Pace] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, box: Watched) -> None:
        """Start to look at `box`."""
        self._busy[box] = _Pace()
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._look)

    def discard(self, box: Watched) -> None:
        """Stop looking at it."""
        self._busy.pop(box, None)

    def close(self) -> None:
        """Stop altogether."""
        self._busy.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        for box, pace in list(self._busy.items()):
            if pace.left > 0:
                pace.left -= 1
                continue
            size_bytes = box.resident_bytes()
            if box.bounded:
                pace.next(size_bytes)
            box.memory_seen(size_bytes)
        if self._busy and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD_S, self._look)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants (at most 64 of them); 0 when gone."""
    total, pids, seen = 0, [pid], 0
    while pids and seen < _PROCESSES_MAX:
        one = pids.pop()
        seen += 1
        with suppress(OSError, ValueError, IndexError):
            total += int(_read(f"/proc/{one}/statm").split()[1]) * _PAGE_BYTES
            pids += map(int, _read(f"/proc/{one}/task/{one}/children").split())
    return total


def peak_bytes(pid: int) -> int:
    """The process's own high-water mark; 0 when gone."""
    with suppress(OSError, ValueError, IndexError):
        for line in _read(f"/proc/{pid}/status").splitlines():
            if line.startswith(b"VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 4096)
    finally:
        os.close(fd)
