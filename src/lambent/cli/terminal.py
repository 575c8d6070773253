"""What people see: notes and progress on stderr, colour only where it is welcome.

Stdout belongs to results, so that every verb can stand in a pipe.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TextIO

from lambent.base.config import environment

QUIET_S = 1.0
"""What takes less than this is not worth a word."""

BOLD, DIM, RED, GREEN, YELLOW = "1", "2", "31", "32", "33"


def colourful(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose owner has not asked for plain text.

    Source: https://no-color.org
    """
    env = environment()
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def styled(text: str, style: str, stream: TextIO) -> str:
    """`text` in a style, if `stream` shows styles."""
    return f"\x1b[{style}m{text}\x1b[0m" if colourful(stream) else text


def note(text: str) -> None:
    """One line for the reader, beside the result."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str) -> Iterator[None]:
    """Say `what` on stderr once it has taken over a second, and on a terminal how long it takes.

    By the interval timer: a blocking call goes on where it was (PEP 475), and no thread is needed.
    """
    ticks = 0
    terminal = sys.stderr.isatty()

    def tick(_number: int, _frame: FrameType | None) -> None:
        nonlocal ticks
        ticks += 1
        if terminal:
            print(f"\r{what} ... {ticks} s", end="", file=sys.stderr, flush=True)
        elif ticks == 1:
            note(f"{what} ...")

    before = signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, QUIET_S, QUIET_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if ticks and terminal:
            print(f"\r{' ' * (len(what) + 16)}\r", end="", file=sys.stderr, flush=True)
