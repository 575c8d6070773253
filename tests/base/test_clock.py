"""The virtual clock: order, ties, sleep, settle. The real one: fires, is cancelled, re-arms."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.base import clock as clock_module
from lambent.base.clock import RealClock, VirtualClock, monotonic
from tests.loops import run


async def _advancing(clock: VirtualClock, by_s: float) -> None:
    await asyncio.wait_for(clock.advance(by_s), 10)


async def test_a_virtual_clock_stands_still_until_it_is_moved() -> None:
    clock = VirtualClock(1000.0)
    assert clock.now() == 1000.0
    await clock.advance(90)
    assert clock.now() == 1090.0
    await clock.set(2000)
    assert clock.now() == 2000.0
    assert clock.virtual
    assert not RealClock().virtual


async def test_a_virtual_clock_starts_at_the_present() -> None:
    before = RealClock().now()
    assert before <= VirtualClock().now() <= RealClock().now()


async def test_it_cannot_be_set_back() -> None:
    clock = VirtualClock(1000.0)
    with pytest.raises(ValueError, match="cannot be set back"):
        await clock.set(999.9)
    assert clock.now() == 1000.0


@given(st.lists(st.integers(1, 20), min_size=1, max_size=30), st.integers(0, 25))
def test_timers_fire_in_order_of_due_time_and_ties_in_the_order_they_were_set(
    delays: list[int], moved: int
) -> None:
    async def scenario() -> None:
        clock = VirtualClock(0.0)
        fired: list[tuple[float, int]] = []
        for number, delay in enumerate(delays):
            clock.call_at(delay, lambda n=number: fired.append((clock.now(), n)))
        await clock.set(moved)
        due = sorted((float(d), n) for n, d in enumerate(delays) if d <= moved)
        assert fired == due
        assert clock.now() == moved

    run(scenario())


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=8))
def test_timers_set_by_timers_fire_in_the_same_move_at_their_own_time(
    chains: list[tuple[int, int]],
) -> None:
    async def scenario() -> None:
        clock = VirtualClock(0.0)
        fired: list[float] = []

        def chain(step: int, left: int) -> None:
            def fire() -> None:
                fired.append(clock.now())
                chain(step, left - 1)

            if left:
                clock.call_at(clock.now() + step, fire)

        for step, count in chains:
            chain(step, count)
        await clock.advance(100)
        expected = [float(step * n) for step, count in chains for n in range(1, count + 1)]
        assert fired == sorted(expected)

    run(scenario())


async def test_asynchronous_work_of_a_timer_is_done_before_time_moves_on() -> None:
    clock = VirtualClock(0.0)
    seen: list[float] = []

    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        seen.append(clock.now())

    clock.call_at(1, work)
    clock.call_at(2, work)
    await _advancing(clock, 5)
    assert seen == [1.0, 2.0]


async def test_a_cancelled_timer_does_not_fire_and_cancelling_twice_is_fine() -> None:
    clock = VirtualClock(0.0)
    fired: list[int] = []
    timer = clock.call_at(1, lambda: fired.append(1))
    timer.cancel()
    timer.cancel()
    past = clock.call_at(-1, lambda: fired.append(2))
    past.cancel()
    await _advancing(clock, 5)
    assert fired == []


async def test_what_is_due_already_fires_without_a_move() -> None:
    clock = VirtualClock(10.0)
    fired = asyncio.Event()
    clock.call_at(10, fired.set)
    await asyncio.wait_for(fired.wait(), 10)


async def test_what_a_timer_sets_for_now_is_run_before_time_moves_on() -> None:
    clock = VirtualClock(0.0)
    seen: list[float] = []

    def note() -> None:
        seen.append(clock.now())

    def again() -> None:
        clock.call_at(clock.now(), note)

    def fire() -> None:
        clock.call_at(clock.now(), again)

    clock.call_at(1, fire)
    await _advancing(clock, 5)
    assert seen == [1.0]


async def test_sleepers_wake_at_their_own_time() -> None:
    clock = VirtualClock(0.0)
    woken: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            woken.append((name, clock.now()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("a", 3, 3))
        group.create_task(sleeper("b", 2, 2, 1))
        group.create_task(sleeper("now", 0, -1))
        await asyncio.sleep(0)
        await _advancing(clock, 10)
    assert woken[:2] == [("now", 0.0), ("now", 0.0)]
    assert woken[2:] == [("b", 2.0), ("a", 3.0), ("b", 4.0), ("b", 5.0), ("a", 6.0)]


async def test_a_cancelled_sleeper_leaves_nothing() -> None:
    clock = VirtualClock(0.0)
    sleeping = asyncio.create_task(clock.sleep(5))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    await _advancing(clock, 10)


async def test_the_clock_waits_for_work_that_was_handed_on() -> None:
    clock = VirtualClock(0.0)
    done: list[float] = []
    pending: list[asyncio.Task[None]] = []

    async def handed_on() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        done.append(clock.now())

    async def settle() -> None:
        while pending:
            await pending.pop()

    clock.on_settle(settle)
    for due in (1, 2):
        clock.call_at(due, lambda: pending.append(asyncio.create_task(handed_on())))
    await _advancing(clock, 3)
    assert done == [1.0, 2.0]


async def test_two_moves_at_once_take_turns() -> None:
    clock = VirtualClock(0.0)
    fired: list[float] = []
    for due in range(1, 11):
        clock.call_at(due, lambda: fired.append(clock.now()))
    await asyncio.gather(clock.set(10), clock.set(5), clock.set(10))
    assert fired == [float(due) for due in range(1, 11)]
    assert clock.now() == 10


async def test_two_advances_at_once_add_up() -> None:
    clock = VirtualClock(0.0)
    await asyncio.gather(clock.advance(10), clock.advance(5))
    assert clock.now() == 15


async def test_the_real_clock_fires_calls_and_awaits() -> None:
    clock = RealClock()
    plain, awaited = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        awaited.set()

    clock.call_at(clock.now(), plain.set)
    clock.call_at(clock.now() + 0.001, work)
    await clock.sleep(-1)
    async with asyncio.timeout(10):
        await plain.wait()
        await awaited.wait()


async def test_a_cancelled_real_timer_does_not_fire() -> None:
    clock = RealClock()
    fired: list[int] = []
    timer = clock.call_at(clock.now(), lambda: fired.append(1))
    timer.cancel()
    timer.cancel()
    done = asyncio.Event()
    clock.call_at(clock.now() + 0.002, done.set)
    await asyncio.wait_for(done.wait(), 10)
    assert fired == []


async def test_far_away_times_are_reached_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    class Calendar(RealClock):
        looked = 0

        def now(self) -> float:
            self.looked += 1
            return 0.0 if self.looked < 5 else 1e9

    monkeypatch.setattr(clock_module._RealTimer, "_ARM_MAX_S", 0.001)
    clock, fired = Calendar(), asyncio.Event()
    clock.call_at(1e9, fired.set)
    await asyncio.wait_for(fired.wait(), 10)
    assert clock.looked >= 5


def test_monotonic_time_does_not_run_back() -> None:
    assert monotonic() <= monotonic()
