"""Durable timers: in order, at least once, across restarts, and never lost to a failure."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.base.clock import VirtualClock
from lambent.kernel import Ctx, Platform, Service, Wire
from lambent.kernel.timers import RETRY_S, Again
from lambent.store.protocol import StoreFull
from tests.kernel.fakes import START_S, context, fake_service, running, virtual
from tests.loops import run


class Bell:
    """A handler that writes down what rang when, and answers what it is told to."""

    def __init__(self, *answers: Again | Exception | None) -> None:
        self.rang: list[tuple[Any, float]] = []
        self.answers = list(answers)
        self.ctx: Ctx | None = None

    async def __call__(self, ctx: Ctx, payload: Wire) -> Again | None:
        self.ctx = ctx
        self.rang.append((payload["n"], ctx.now() - START_S))
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _ringing(bell: Bell) -> Service:
    return fake_service(timers={"bell": bell})


async def _set(
    platform: Platform, after_s: float, n: int, *, id: str = "", ctx: Any = None
) -> None:
    ctx = ctx or context(platform)
    await platform.timers.set(ctx, "bell", START_S + after_s, {"n": n}, id=id or str(n))


async def _pending(platform: Platform) -> int:
    return await platform.store.count(("-", "-", "kernel", "Timer"))


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 10))
def test_they_ring_in_order_each_once_and_leave_no_record(delays: list[int], moved: int) -> None:
    async def scenario() -> None:
        bell = Bell()
        async with running(_ringing(bell)) as platform:
            for n, delay in enumerate(delays):
                await _set(platform, delay, n)
            await virtual(platform).advance(moved)
            due = sorted((n, float(d)) for n, d in enumerate(delays) if d <= moved)
            assert sorted(bell.rang) == due
            assert [when for _, when in bell.rang] == sorted(when for _, when in due)
            assert await _pending(platform) == len(delays) - len(due)

    run(scenario())


async def test_the_handler_runs_in_the_account_and_region_that_set_it() -> None:
    bell = Bell()
    async with running(_ringing(bell)) as platform:
        ctx = platform.context("fake", "123456789012", "eu-west-1")
        await _set(platform, 1, 1, ctx=ctx)
        await virtual(platform).advance(1)
    assert bell.ctx is not None
    assert (bell.ctx.service, bell.ctx.account, bell.ctx.region) == (
        "fake",
        "123456789012",
        "eu-west-1",
    )


async def test_what_is_due_already_rings_without_a_move() -> None:
    bell = Bell()
    async with running(_ringing(bell)) as platform:
        await _set(platform, -5, 1)
        await asyncio.sleep(0)
        await platform.settled()
        assert bell.rang == [(1, 0.0)]


async def test_again_moves_it() -> None:
    bell = Bell(Again(START_S + 5, {"n": 2}), Again(START_S + 5, {"n": 3}))
    async with running(_ringing(bell)) as platform:
        await _set(platform, 1, 1)
        await virtual(platform).advance(10)
        assert bell.rang == [(1, 1.0), (2, 5.0), (3, 5.0)]
        assert await _pending(platform) == 0


async def test_a_handler_that_fails_is_tried_again_after_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bell = Bell(LookupError("x"), LookupError("y"))
    async with running(_ringing(bell)) as platform:
        await _set(platform, 1, 1)
        await virtual(platform).advance(1 + 3 * RETRY_S)
        assert bell.rang == [(1, 1.0), (1, 1 + RETRY_S), (1, 1 + 2 * RETRY_S)]
        assert await _pending(platform) == 0
    assert "timer fake/bell failed; again in 60.0 s" in caplog.text
    caplog.clear()


async def test_a_timer_of_a_kind_that_nobody_handles_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with running(fake_service()) as platform:
        await _set(platform, 1, 1)
        await virtual(platform).advance(200)
        assert await _pending(platform) == 1
    assert "no handler for timer fake/bell" in caplog.text
    caplog.clear()


async def test_the_next_server_rings_what_was_set_before(tmp_path: Path) -> None:
    silent, bell = Bell(), Bell()
    async with running(_ringing(silent), data=tmp_path) as platform:
        for n in range(1200):  # more than one page
            await _set(platform, 10, n)
        await _set(platform, 1_000_000, 5000)
    assert silent.rang == []
    clock = VirtualClock(START_S + 20)
    async with running(_ringing(bell), data=tmp_path, clock=clock) as platform:
        await asyncio.sleep(0)
        await platform.settled()
        assert sorted(n for n, _ in bell.rang) == list(range(1200))
        assert await _pending(platform) == 1


async def test_a_handler_cut_off_by_the_end_of_the_server_rings_again(tmp_path: Path) -> None:
    began = asyncio.Event()

    async def endless(ctx: Ctx, payload: Wire) -> None:
        began.set()
        await asyncio.Event().wait()

    async with running(fake_service(timers={"bell": endless}), data=tmp_path) as platform:
        await _set(platform, 0, 1)
        await asyncio.wait_for(began.wait(), 10)
    bell = Bell()
    async with running(_ringing(bell), data=tmp_path) as platform:
        await asyncio.sleep(0)
        await platform.settled()
    assert [n for n, _ in bell.rang] == [1]


async def test_setting_it_again_replaces_it() -> None:
    bell = Bell()
    async with running(_ringing(bell)) as platform:
        await _set(platform, 5, 1, id="same")
        await _set(platform, 5, 2, id="same")
        await virtual(platform).advance(10)
    assert bell.rang == [(2, 5.0)]


async def test_a_timer_that_is_dropped_does_not_ring() -> None:
    bell = Bell()
    async with running(_ringing(bell)) as platform:
        await _set(platform, 5, 1)
        await _set(platform, 6, 2)
        drop = platform.timers.drop(context(platform), "bell", START_S + 5, id="1")
        assert await _pending(platform) == 2  # not before it is committed
        await platform.store.commit(drop)
        await virtual(platform).advance(10)
    assert bell.rang == [(2, 6.0)]


async def test_a_timer_dropped_while_it_rings_does_not_come_back() -> None:
    async def drop_me(ctx: Ctx, payload: Wire) -> Again:
        await ctx.commit(ctx.platform.timers.drop(ctx, "bell", START_S + 5, id="1"))
        return Again(START_S + 6, payload)

    async with running(fake_service(timers={"bell": drop_me})) as platform:
        await _set(platform, 5, 1)
        await virtual(platform).advance(10)
        assert await _pending(platform) == 0


async def test_a_timer_set_anew_while_it_rings_is_kept() -> None:
    rang: list[int] = []

    async def set_anew(ctx: Ctx, payload: Wire) -> None:
        rang.append(payload["n"])
        if payload["n"] < 3:
            await _set(ctx.platform, 5, payload["n"] + 1, id="same")

    async with running(fake_service(timers={"bell": set_anew})) as platform:
        await _set(platform, 5, 1, id="same")
        await virtual(platform).advance(10)
        assert rang == [1, 2, 3]
        assert await _pending(platform) == 0


async def test_a_full_disk_makes_it_ring_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bell = Bell()
    async with running(_ringing(bell)) as platform:
        await _set(platform, 1, 1)
        real, refusals = platform.store.commit, [StoreFull("disk full")]

        async def commit(*changes: Any) -> list[int]:
            if refusals:
                raise refusals.pop()
            return await real(*changes)

        monkeypatch.setattr(platform.store, "commit", commit)
        await virtual(platform).advance(1 + RETRY_S)
        assert bell.rang == [(1, 1.0), (1, 1 + RETRY_S)]
        assert await _pending(platform) == 0


async def test_forget_takes_only_what_is_named() -> None:
    bell = Bell()
    async with running(_ringing(bell)) as platform:
        places = [("111111111111", "r1"), ("111111111111", "r2"), ("222222222222", "r1")]
        for n, (account, region) in enumerate(places):
            await _set(platform, 5, n, ctx=platform.context("fake", account, region))
        await platform.timers.forget("111111111111", "r1", None)
        assert await _pending(platform) == 2
        await platform.timers.forget(None, None, "nobody")
        assert await _pending(platform) == 2
        await platform.timers.forget(None, "r2", "fake")
        await virtual(platform).advance(10)
        assert bell.rang == [(2, 5.0)]
        await _set(platform, 20, 9)
        await platform.timers.forget(None, None, None)
        await virtual(platform).advance(30)
        assert len(bell.rang) == 1
