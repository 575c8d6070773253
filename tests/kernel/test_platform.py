"""A platform starts, settles, resets by tenant, and stops, in order."""

from itertools import product
from typing import Any

import pytest

from lambent.kernel import Ctx, Platform, Wire
from lambent.store.protocol import Append, Delete, Key, Put
from tests.kernel.fakes import context, fake_service, running, virtual

ACCOUNTS = ("111111111111", "222222222222")
REGIONS = ("eu-west-1", "us-east-1")
SERVICES = ("one", "two")


class FakeEngine:
    """Writes down what it is asked to do."""

    def __init__(self, log: list[Any], name: str) -> None:
        self._log, self._name = log, name

    async def stop(self) -> None:
        self._log.append(("stop", self._name))

    async def reset(self, account: str | None, region: str | None) -> None:
        self._log.append(("reset", self._name, account, region))


def _engines(log: list[Any]) -> list[Any]:
    def starting(name: str) -> Any:
        async def start(platform: Platform) -> FakeEngine:
            log.append(("start", name))
            return FakeEngine(log, name)

        return start

    return [fake_service(name, start=starting(name)) for name in SERVICES]


async def test_engines_start_in_order_and_stop_in_the_opposite_one() -> None:
    log: list[Any] = []
    async with running(*_engines(log)) as platform:
        assert isinstance(context(platform, "two").engine, FakeEngine)
    starts, stops = log[:2], log[2:]
    assert starts == [("start", "one"), ("start", "two")]
    assert stops == [("stop", "two"), ("stop", "one")]


async def _filled(platform: Platform) -> None:
    for account, region, service in product(ACCOUNTS, REGIONS, SERVICES):
        ctx = platform.context(service, account, region)
        small = platform.store.blobs.small(f"{account}{region}{service}".encode())
        await ctx.commit(
            Put(ctx.key("Thing", "a"), {"n": 1}, blobs=(small,)),
            Append(ctx.key("Log", "a"), b"x"),
        )
        await platform.timers.set(ctx, "bell", ctx.now() + 60, {}, id="a")


async def _left(platform: Platform) -> set[Key]:
    found = set()
    for key in product(ACCOUNTS, REGIONS, SERVICES):
        ctx = platform.context(key[2], key[0], key[1])
        record = await ctx.get("Thing", "a")
        entries = await platform.store.read_log(ctx.key("Log", "a"))
        assert (record is None) == (not entries)
        if record is not None:
            found.add(key)
    return found


@pytest.mark.parametrize(
    ("account", "region", "service"),
    list(product((None, ACCOUNTS[0]), (None, REGIONS[1]), (None, SERVICES[0]))),
)
async def test_reset_drops_what_is_named_and_only_that(
    account: str | None, region: str | None, service: str | None
) -> None:
    log: list[Any] = []
    rang: set[Key] = set()

    async def ring(ctx: Ctx, payload: Wire) -> None:
        rang.add((ctx.account, ctx.region, ctx.service))

    services = _engines(log)
    for one in services:
        one.timers = {"bell": ring}
    async with running(*services) as platform:
        await _filled(platform)
        await platform.reset(account, region, service)
        everything = set(product(ACCOUNTS, REGIONS, SERVICES))
        gone = {
            key
            for key in everything
            if account in (None, key[0]) and region in (None, key[1]) and service in (None, key[2])
        }
        assert await _left(platform) == everything - gone
        await virtual(platform).advance(60)
        assert rang == everything - gone
        assert await platform.store.verify() == []
        resets = [entry for entry in log if entry[0] == "reset"]
        names = [service] if service else list(SERVICES)
        assert resets == [("reset", name, account, region) for name in names]


async def test_a_reset_platform_works_on() -> None:
    async with running(*_engines([])) as platform:
        await _filled(platform)
        await platform.reset()
        await _filled(platform)
        assert len(await _left(platform)) == 8
        await platform.reset()
        await platform.reset()
        assert await platform.store.count(()) == 0
        assert await platform.store.logs(()) == []


async def test_the_clock_waits_for_what_follows_from_what_follows() -> None:
    """A timer tells an event, whose consumer sets a timer for now, which tells the next event."""
    seen: list[tuple[int, float]] = []

    async def ring(ctx: Ctx, payload: Wire) -> None:
        await ctx.commit(Delete(ctx.key("None")), events=[("Rang", payload)])

    async def heard(ctx: Ctx, detail: Wire) -> None:
        seen.append((detail["n"], ctx.now()))
        if detail["n"]:
            payload = {"n": detail["n"] - 1}
            await ctx.platform.timers.set(ctx, "bell", ctx.now(), payload, id=str(detail["n"]))

    service = fake_service(timers={"bell": ring}, consumers={"fake.Rang": heard})
    async with running(service) as platform:
        due = platform.clock.now() + 5
        await platform.timers.set(context(platform), "bell", due, {"n": 6}, id="first")
        await virtual(platform).advance(10)
        assert seen == [(n, due) for n in (6, 5, 4, 3, 2, 1, 0)]


async def test_a_key_too_long_to_be_stored_is_merely_not_there() -> None:
    async with running(fake_service()) as platform:
        ctx, long = context(platform), "x" * 10_000
        assert await ctx.get("Thing", long) is None
        assert await ctx.store.scan(ctx.key("Thing", long)) == []
        assert await ctx.store.scan(ctx.key("Thing"), after=ctx.key("Thing", long)) == []
        assert await ctx.store.read_log(ctx.key("Thing", long)) == []
        with pytest.raises(ValueError, match="at most 8192 are allowed"):
            await ctx.commit(Put(ctx.key("Thing", long), {}))
