"""pool.py: which environment runs an invocation. Environments here are fakes; time is virtual."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from lambent.base.clock import VirtualClock
from lambent.base.errors import AwsError
from lambent.services.lambda_ import limits
from lambent.services.lambda_.pool import Key, Pool

KEY: Key = ("account", "region", "f", "$LATEST")


class Fakes:
    """Starts fake environments and remembers which were closed."""

    def __init__(self) -> None:
        self.started = 0
        self.closed: list[str] = []

    async def start(self) -> Any:
        self.started += 1
        environment = SimpleNamespace(id=str(self.started), state="idle")

        async def close() -> None:
            environment.state = "gone"

        environment.close = close
        return environment

    def ended(self, environment: Any) -> None:
        self.closed.append(environment.id)


@pytest.fixture
def fakes() -> Fakes:
    return Fakes()


@asynccontextmanager
async def taken(pool: Pool, key: Key, generation: str, start: Any) -> AsyncIterator[Any]:
    """An environment while it is in use."""
    lease = await pool.acquire(key, generation, start)
    broken = True
    try:
        yield lease[1]
        broken = False
    finally:
        await pool.release(lease, broken=broken)


async def use(pool: Pool, fakes: Fakes, key: Key = KEY, generation: str = "1") -> str:
    async with taken(pool, key, generation, fakes.start) as environment:
        return str(environment.id)


async def test_a_warm_environment_is_taken_again(fakes: Fakes) -> None:
    pool = Pool(VirtualClock(0), fakes.ended)
    assert [await use(pool, fakes) for _ in range(3)] == ["1", "1", "1"]
    await pool.close()
    assert fakes.closed == ["1"]


async def test_concurrent_invocations_get_environments_of_their_own(fakes: Fakes) -> None:
    pool = Pool(VirtualClock(0), fakes.ended)
    async with (
        taken(pool, KEY, "1", fakes.start) as first,
        taken(pool, KEY, "1", fakes.start) as second,
    ):
        assert first.id != second.id
    assert len(pool.environments()) == 2
    await pool.close()


async def test_a_new_generation_retires_the_old_one(fakes: Fakes) -> None:
    pool = Pool(VirtualClock(0), fakes.ended)
    async with taken(pool, KEY, "1", fakes.start):
        assert await use(pool, fakes, generation="2") == "2"
    await pool.close()
    assert sorted(fakes.closed) == ["1", "2"]


async def test_a_spent_environment_is_not_used_again(fakes: Fakes) -> None:
    pool = Pool(VirtualClock(0), fakes.ended)
    async with taken(pool, KEY, "1", fakes.start) as environment:
        environment.state = "gone"
    assert await use(pool, fakes) == "2"
    await pool.close()


async def test_a_failed_invocation_costs_its_environment(fakes: Fakes) -> None:
    pool = Pool(VirtualClock(0), fakes.ended)
    with pytest.raises(ZeroDivisionError):
        async with taken(pool, KEY, "1", fakes.start):
            raise ZeroDivisionError
    assert fakes.closed == ["1"]
    await pool.close()


async def test_idle_environments_expire(fakes: Fakes) -> None:
    clock = VirtualClock(0)
    pool = Pool(clock, fakes.ended)
    await use(pool, fakes)
    await clock.advance(limits.IDLE_S_MAX - 1)
    assert fakes.closed == []
    await clock.advance(2)
    await pool.close()
    assert fakes.closed == ["1"]
    assert not pool.environments()


async def test_the_longest_idle_gives_way_when_the_server_is_full(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ENVIRONMENTS_MAX", 2)
    pool = Pool(VirtualClock(0), fakes.ended)
    await use(pool, fakes, ("a", "r", "f", "1"))
    await use(pool, fakes, ("a", "r", "g", "1"))
    assert await use(pool, fakes, ("a", "r", "h", "1")) == "3"
    assert fakes.closed == ["1"]
    await pool.close()


async def test_when_all_are_busy_invocations_wait_in_order(
    fakes: Fakes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "ENVIRONMENTS_MAX", 1)
    monkeypatch.setattr(limits, "WAITING_MAX", 2)
    pool = Pool(VirtualClock(0), fakes.ended)
    order: list[str] = []

    async def wait_for(name: str) -> None:
        await use(pool, fakes, ("a", "r", name, "1"))
        order.append(name)

    async with taken(pool, KEY, "1", fakes.start):
        waiting = [asyncio.ensure_future(wait_for(name)) for name in ("g", "h")]
        await asyncio.sleep(0)
        with pytest.raises(AwsError) as caught:
            await use(pool, fakes, ("a", "r", "i", "1"))
        assert (caught.value.code, caught.value.status) == ("TooManyRequestsException", 429)
        assert order == []
    await asyncio.gather(*waiting)
    assert order == ["g", "h"]
    await pool.close()
