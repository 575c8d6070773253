"""The outbox: committed with its cause, in order, at least once, by each consumer at its pace."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.kernel import Ctx, Service, Wire
from lambent.kernel.bus import BATCH
from lambent.kernel.timers import SYSTEM
from lambent.store import open_store
from lambent.store.protocol import ABSENT, Conflict, Put, StoreFull
from tests.kernel.fakes import context, fake_service, make_platform, running, virtual
from tests.loops import run

OUTBOX = (SYSTEM, SYSTEM, "kernel", "Outbox")


class Listener:
    """A consumer that writes down what it hears, and fails when it is told to."""

    def __init__(self, failures: int = 0) -> None:
        self.heard: list[Any] = []
        self.tries = 0
        self.failures = failures
        self.ctx: Ctx | None = None

    async def __call__(self, ctx: Ctx, detail: Wire) -> None:
        self.tries += 1
        self.ctx = ctx
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise LookupError("not yet")
        self.heard.append(detail["n"])


def _services(**consumers: Listener) -> list[Service]:
    """`fake` tells, and each named service listens to fake.Changed."""
    listening = [
        fake_service(name, consumers={"fake.Changed": consumer})
        for name, consumer in consumers.items()
    ]
    return [fake_service(), *listening]


async def _tell(ctx: Ctx, *numbers: int) -> list[int]:
    events = [("Changed", {"n": number}) for number in numbers]
    return await ctx.commit(Put(ctx.key("Thing", "a"), {"n": numbers[-1]}), events=events)


async def test_an_event_is_heard_in_the_account_and_region_it_came_from() -> None:
    listener = Listener()
    async with running(*_services(other=listener)) as platform:
        ctx = platform.context("fake", "123456789012", "eu-west-1")
        versions = await _tell(ctx, 1)
        await platform.settled()
    assert listener.heard == [1]
    assert len(versions) == 1
    assert listener.ctx is not None
    assert (listener.ctx.service, listener.ctx.account) == ("other", "123456789012")
    assert listener.ctx.region == "eu-west-1"


async def test_every_consumer_hears_everything_in_order() -> None:
    quick, slow = Listener(), Listener(failures=2)
    count = BATCH + 10
    async with running(*_services(quick=quick, slow=slow)) as platform:
        ctx = context(platform)
        for number in range(count):
            await _tell(ctx, number)
        await platform.settled()
        assert quick.heard == list(range(count))
        assert slow.heard == []
        await virtual(platform).advance(1.0)
        assert slow.heard == []
        await virtual(platform).advance(2.0)
        assert slow.heard == list(range(count))
        for name in ("quick", "slow"):
            log = (*OUTBOX, name, "fake.Changed")
            assert await platform.store.read_log(log) == []


async def test_an_event_of_a_commit_that_fails_is_not_told() -> None:
    listener = Listener()
    async with running(*_services(other=listener)) as platform:
        ctx = context(platform)
        await _tell(ctx, 1)
        with pytest.raises(Conflict):
            await ctx.commit(
                Put(ctx.key("Thing", "a"), {}, expect=ABSENT), events=[("Changed", {"n": 2})]
            )
        await platform.settled()
    assert listener.heard == [1]


async def test_what_nobody_listens_to_is_not_written() -> None:
    async with running(fake_service()) as platform:
        await _tell(context(platform), 1)
        assert await platform.store.logs(OUTBOX) == []


async def test_a_failure_is_logged_and_told_again_after_a_growing_wait(
    caplog: pytest.LogCaptureFixture,
) -> None:
    listener = Listener(failures=10)
    async with running(*_services(other=listener)) as platform:
        clock = virtual(platform)
        await _tell(context(platform), 1)
        await platform.settled()
        waits = [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]
        for tries, wait_s in enumerate(waits, start=1):
            assert listener.tries == tries
            await clock.advance(wait_s - 0.5)
            assert listener.tries == tries
            await clock.advance(0.5)
    assert listener.heard == [1]
    assert "consumer ('other', 'fake.Changed') failed" in caplog.text
    caplog.clear()


async def test_what_was_not_heard_is_told_by_the_next_server(tmp_path: Path) -> None:
    deaf = Listener(failures=1000)
    async with running(*_services(other=deaf), data=tmp_path) as platform:
        await _tell(context(platform), 1, 2)
        await platform.settled()
        assert deaf.heard == []
    listener = Listener()
    async with running(*_services(other=listener), data=tmp_path) as platform:
        await _tell(context(platform), 3)
        await platform.settled()
    assert listener.heard == [1, 2, 3]
    nothing = Listener()
    async with running(*_services(other=nothing), data=tmp_path) as platform:
        await platform.settled()
    assert nothing.heard == []


async def test_a_server_that_dies_between_hearing_and_noting_it_tells_again() -> None:
    store = await open_store(None)
    first, second = Listener(), Listener()
    platform = make_platform(store, *_services(other=first))
    await _tell(context(platform), 1)  # never started: committed, and then the server is gone
    await platform.stop()
    platform = make_platform(store, *_services(other=second))
    await platform.start()
    await platform.settled()
    assert second.heard == [1]
    await platform.stop()
    await store.close()


@settings(max_examples=40)
@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=5), max_size=6))
def test_no_event_is_lost_however_tellers_and_consumer_interleave(plans: list[list[int]]) -> None:
    async def scenario() -> None:
        listener = Listener()
        async with running(*_services(other=listener)) as platform:

            async def teller(number: int, pauses: list[int]) -> None:
                for step, pause in enumerate(pauses):
                    for _ in range(pause):
                        await asyncio.sleep(0)
                    await _tell(context(platform), 10 * number + step)

            async with asyncio.TaskGroup() as group:
                for number, pauses in enumerate(plans):
                    group.create_task(teller(number, pauses))
            await platform.settled()
        for number, pauses in enumerate(plans):
            mine = [n for n in listener.heard if n // 10 == number]
            assert mine == [10 * number + step for step in range(len(pauses))]

    run(scenario())


async def test_a_full_disk_delays_the_consumer_and_kills_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = Listener()
    async with running(*_services(other=listener)) as platform:
        await _tell(context(platform), 1)
        real, refusals = platform.store.commit, [StoreFull("disk full")]

        async def commit(*changes: Any) -> list[int]:
            if refusals:
                raise refusals.pop()
            return await real(*changes)

        monkeypatch.setattr(platform.store, "commit", commit)
        await platform.settled()
        await virtual(platform).advance(1)
        await _tell(context(platform), 2)
        await platform.settled()
    assert listener.heard == [1, 2]


async def test_a_reset_in_the_middle_leaves_a_bus_that_works() -> None:
    listener = Listener(failures=3)
    async with running(*_services(other=listener)) as platform:
        await _tell(context(platform), 1, 2, 3)
        await platform.settled()
        await platform.reset()
        listener.failures = 0
        await _tell(context(platform), 4)
        await platform.settled()
    assert listener.heard == [4]
