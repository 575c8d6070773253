r"""What environments write to stdout and stderr: a pipe, read by the loop, split into lines.

Order is kept by construction: both streams share one pipe, and `drain` (called before an answer is
handed on) takes what was written before the answer was sent. Back-pressure: each pipe is read at
most at `BYTES_PER_S_MAX` on average; beyond that the pipe fills and the writer waits, so endless
output costs neither memory nor the loop. A line is cut at `LINE_BYTES_MAX`.

Our bootstraps keep a log record of several lines together: a line that begins with 0x1e has its
newlines written as NUL. A function that prints such bytes itself changes nobody's log but its own.
"""

import array
import asyncio
import fcntl
import os
import termios
from collections.abc import Callable

LINE_BYTES_MAX = 262_144
BYTES_PER_S_MAX = 16 * 1024 * 1024
_BURST_BYTES = 4 * 1024 * 1024
_READ_BYTES = 65_536
_RECORD = b"\x1e"


class Lines:
    """Sans-IO splitter: chunks in, whole lines out, a rest on demand."""

    def __init__(self, on_line: Callable[[bytes], None], *, records: bool) -> None:
        self._on_line, self._records = on_line, records
        self._rest = bytearray()

    def feed(self, data: bytes) -> None:
        """Deliver the lines that `data` completes; holds at most `LINE_BYTES_MAX` bytes."""
        first, *more = data.split(b"\n")
        if not more:
            self._rest += first
        else:
            if self._rest:
                self._rest += first
                first = bytes(self._rest)
                self._rest.clear()
            self._deliver(first)
            for line in more[:-1]:
                self._deliver(line)
            self._rest += more[-1]
        while len(self._rest) >= LINE_BYTES_MAX:
            self._deliver(bytes(self._rest[:LINE_BYTES_MAX]))
            del self._rest[:LINE_BYTES_MAX]

    def flush(self) -> None:
        """Deliver an unfinished line: the invocation is over."""
        if self._rest:
            line = bytes(self._rest)
            self._rest.clear()
            self._deliver(line)

    def _deliver(self, line: bytes) -> None:
        if self._records and line[:1] == _RECORD:
            line = line[1:].replace(b"\0", b"\n")
        while len(line) > LINE_BYTES_MAX:
            self._on_line(line[:LINE_BYTES_MAX])
            line = line[LINE_BYTES_MAX:]
        self._on_line(line)


class Output:
    """The reading end of one environment's output pipe."""

    def __init__(self, fd: int, on_line: Callable[[bytes], None], *, records: bool) -> None:
        os.set_blocking(fd, False)
        self._fd = fd
        self._lines = Lines(on_line, records=records)
        self._loop = asyncio.get_running_loop()
        self._open = True
        self._budget, self._refilled_s = float(_BURST_BYTES), self._loop.time()
        self._resume: asyncio.TimerHandle | None = None
        self._loop.add_reader(fd, self._readable)

    def _readable(self) -> None:
        count = self._read(_READ_BYTES)
        if self._open and self._over(count):
            self._loop.remove_reader(self._fd)
            self._resume = self._loop.call_later(
                -self._budget / BYTES_PER_S_MAX + 0.01, self._go_on
            )

    def _over(self, count: int) -> bool:
        """Pay for `count` bytes; whether this pipe has to wait now."""
        self._budget -= count
        if self._budget > 0:
            return False
        now_s = self._loop.time()
        earned = (now_s - self._refilled_s) * BYTES_PER_S_MAX
        self._budget = min(self._budget + earned, _BURST_BYTES)
        self._refilled_s = now_s
        return self._budget <= 0

    def _go_on(self) -> None:
        self._resume = None
        if self._open:
            self._loop.add_reader(self._fd, self._readable)

    def _read(self, size: int) -> int:
        try:
            data = os.read(self._fd, size)
        except BlockingIOError:
            return 0
        if not data:
            self.close()
            return 0
        self._lines.feed(data)
        return len(data)

    def drain(self) -> None:
        """Take what is in the pipe now, and the unfinished line; bounded by the pipe's size."""
        if self._open:
            held = array.array("i", [0])
            fcntl.ioctl(self._fd, termios.FIONREAD, held)
            left = held[0]
            while left > 0 and self._open and (count := self._read(min(left, _READ_BYTES))):
                left -= count
        self._lines.flush()

    def close(self) -> None:
        """Stop reading; the unfinished line stays for `drain`."""
        if self._open:
            self._open = False
            if self._resume is not None:
                self._resume.cancel()
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
