"""The platform's one clock, and the timers that run on it.

Everything the platform times (retries, visibility, schedules, retention) asks this clock, so that
a virtual one can run a day of it in a moment. What user code lives through (its timeout, its
billed duration) is real time: `monotonic`. Prior art: trio's MockClock, kopf's looptime,
TigerBeetle's VOPR.

Invariants: `now` never runs backwards while a virtual clock is advanced; timers fire in the order
of their due time, ties in the order they were set; `advance` returns after the work that fell due
has been handed on.
"""

import asyncio
import heapq
import itertools
import time
from collections.abc import Awaitable, Callable
from typing import Protocol

Callback = Callable[[], Awaitable[None] | None]


class Timer(Protocol):
    """A pending call; `cancel` is idempotent."""

    def cancel(self) -> None:
        """Forget the call if it has not run yet."""


class Clock(Protocol):
    """Wall-clock time in seconds since the epoch, and timers on it."""

    virtual: bool

    def now(self) -> float:
        """Seconds since the epoch, as the platform sees it."""

    def call_at(self, when_s: float, callback: Callback) -> Timer:
        """Run `callback` once when `now()` reaches `when_s`."""

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` seconds of platform time."""


def monotonic() -> float:
    """Real elapsed seconds: for what user code lives through, never for platform time."""
    return time.monotonic()


def wall_ms() -> int:
    """Real milliseconds since the epoch, for deadlines that user code compares with its own."""
    return int(time.time() * 1000)  # noqa: TID251 - user code lives in real time


class RealClock:
    """The machine's clock, with timers on the running event loop."""

    virtual = False

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()  # noqa: TID251 - the one place that reads the wall clock

    def call_at(self, when_s: float, callback: Callback) -> Timer:
        """Run `callback` once at `when_s`; a wait of over a day is split, as loops overflow."""
        return _RealTimer(self, when_s, callback)

    async def sleep(self, delay_s: float) -> None:
        """Wait `delay_s` real seconds."""
        await asyncio.sleep(max(0.0, delay_s))


class _RealTimer:
    """A timer on the event loop, re-armed daily so that far-away times work."""

    _ARM_MAX_S = 86_400.0

    def __init__(self, clock: RealClock, when_s: float, callback: Callback) -> None:
        self._clock, self._when_s, self._callback = clock, when_s, callback
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.TimerHandle | None = None
        self._task: asyncio.Future[None] | None = None
        self._arm()

    def _arm(self) -> None:
        delay_s = min(self._ARM_MAX_S, max(0.0, self._when_s - self._clock.now()))
        self._handle = self._loop.call_later(delay_s, self._fire)

    def _fire(self) -> None:
        self._handle = None
        if self._clock.now() < self._when_s - 0.0005:
            self._arm()
            return
        work = self._callback()
        if work is not None:
            self._task = asyncio.ensure_future(work)  # noqa: TID251 - kept; callbacks guard themselves

    def cancel(self) -> None:
        """Forget the call if it has not run yet."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None


class VirtualClock:
    """A clock that stands still until it is moved; then every due timer runs, in order."""

    virtual = True

    def __init__(self, start_s: float | None = None) -> None:
        self._now_s = RealClock().now() if start_s is None else start_s
        self._heap: list[tuple[float, int, _VirtualTimer]] = []
        self._order = itertools.count()
        self._soon: set[asyncio.Future[None]] = set()
        self._moving = asyncio.Lock()
        self._settle: list[Callable[[], Awaitable[None]]] = []

    def now(self) -> float:
        """Seconds since the epoch, as last set."""
        return self._now_s

    def call_at(self, when_s: float, callback: Callback) -> Timer:
        """Run `callback` when the clock is moved to or past `when_s` (at once if it is past)."""
        timer = _VirtualTimer(callback)
        if when_s <= self._now_s:
            task = asyncio.ensure_future(timer.run())  # noqa: TID251 - kept; callbacks guard themselves
            self._soon.add(task)
            task.add_done_callback(self._soon.discard)
        else:
            heapq.heappush(self._heap, (when_s, next(self._order), timer))
        return timer

    async def sleep(self, delay_s: float) -> None:
        """Wait until the clock has been moved by `delay_s` seconds."""
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        timer = self.call_at(
            self._now_s + delay_s, lambda: None if woken.done() else woken.set_result(None)
        )
        try:
            await woken
        finally:
            timer.cancel()

    def on_settle(self, settle: Callable[[], Awaitable[None]]) -> None:
        """Register work to wait for after each due timer (the bus, deliveries in flight)."""
        self._settle.append(settle)

    async def set(self, when_s: float) -> None:
        """Move to `when_s`, firing what falls due on the way; going back is refused."""
        if when_s < self._now_s:
            raise ValueError("the clock cannot be set back")
        async with self._moving:
            await self._move(when_s)

    async def advance(self, by_s: float) -> None:
        """Move forward by `by_s` seconds; two advances at once add up."""
        async with self._moving:
            await self._move(self._now_s + by_s)

    async def _move(self, when_s: float) -> None:
        await self._settled()
        while self._heap and self._heap[0][0] <= when_s:
            due_s, _, timer = heapq.heappop(self._heap)
            self._now_s = max(self._now_s, due_s)
            await timer.run()
            await self._settled()
        self._now_s = max(self._now_s, when_s)

    async def _settled(self) -> None:
        # Let woken sleepers run on before time moves again; then wait for the handed-on work,
        # and again for what that set for now.
        while True:
            for _ in range(3):
                await asyncio.sleep(0)
            for settle in self._settle:
                await settle()
            if not self._soon:
                return
            await asyncio.wait(self._soon)


class _VirtualTimer:
    """One pending call of a virtual clock."""

    def __init__(self, callback: Callback) -> None:
        self._callback: Callback | None = callback

    async def run(self) -> None:
        callback, self._callback = self._callback, None
        work = callback() if callback is not None else None
        if work is not None:
            await work

    def cancel(self) -> None:
        """Forget the call if it has not run yet."""
        self._callback = None
