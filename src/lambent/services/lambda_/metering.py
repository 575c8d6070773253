"""What invocations would cost on AWS: billed time, GB-seconds and requests, by function and day.

Figures are summed in memory and stored a second of platform time later, and before they are read:
metering never makes an invocation wait, and a crash loses a second of it at most. Sums are whole
numbers (MiB-milliseconds), so that adding many small ones loses nothing.
Source: https://aws.amazon.com/lambda/pricing/ (us-east-1, x86)
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from lambent.base.clock import Timer
from lambent.kernel import Ctx, Platform, Wire
from lambent.kernel.answers import json_response
from lambent.net.message import Request, Response
from lambent.services.lambda_.reporting import Report
from lambent.store.protocol import ABSENT, Conflict, Key, Put

FLUSH_S = 1.0
NOUN = "Usage"

REQUEST_USD = 0.20 / 1_000_000
GB_S_TIERS = ((6e9, 0.0000166667), (9e9, 0.000015), (float("inf"), 0.0000133334))
"""GB-seconds of a month, in order: how many, and the price of each."""
TMP_GB_S_USD = 0.0000000309
"""Ephemeral storage above 512 MB."""
TMP_FREE_MIB = 512
MIB_MS_PER_GB_S = 1024 * 1000


class Usage(Struct):
    """Sums for one function and day."""

    requests: int = 0
    billed_ms: int = 0
    mib_ms: int = 0
    """Memory size times billed duration."""
    tmp_mib_ms: int = 0
    """The same of ephemeral storage above the free 512 MB."""

    def plus(self, other: Wire) -> Wire:
        """The stored form of both together."""
        return {name: getattr(self, name) + other.get(name, 0) for name in self.__struct_fields__}


class Meter:
    """The usage that has not been stored yet."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._pending: dict[Key, Usage] = {}
        self._timer: Timer | None = None

    def add(self, ctx: Ctx, record: Wire, report: Report) -> None:
        """Count one invocation of the function that `record` is."""
        day = datetime.fromtimestamp(ctx.now(), UTC).strftime("%Y-%m-%d")
        usage = self._pending.get(key := ctx.key(NOUN, day, record["FunctionName"]))
        if usage is None:
            usage = self._pending[key] = Usage()
        billed_ms = report.billed_ms
        usage.requests += 1
        usage.billed_ms += billed_ms
        usage.mib_ms += billed_ms * report.memory_size
        usage.tmp_mib_ms += billed_ms * (record["EphemeralStorage"]["Size"] - TMP_FREE_MIB)
        if self._timer is None:
            due_s = self._platform.clock.now() + FLUSH_S
            self._timer = self._platform.clock.call_at(due_s, self._due)

    async def _due(self) -> None:
        self._timer = None
        await self.flush()

    async def flush(self) -> None:
        """Store what is pending."""
        pending, self._pending = self._pending, {}
        for key, usage in pending.items():
            while not await self._store(key, usage):
                pass

    async def _store(self, key: Key, usage: Usage) -> bool:
        row = await self._platform.store.get(key)
        value = usage.plus(row.value if row else {})
        try:
            await self._platform.store.commit(Put(key, value, row.version if row else ABSENT))
        except Conflict:
            return False
        return True

    async def stop(self) -> None:
        """Store what is pending, for good."""
        if self._timer is not None:
            self._timer.cancel()
        await self.flush()


def priced(rows: Iterable[tuple[str, str, Wire]]) -> list[Wire]:
    """Usage of one account and region as (day, function, sums), in order of days, with its price.

    GB-seconds are priced by the tiers of their month, in the order in which they were used.
    """
    used: dict[str, float] = {}
    priced = []
    for day, function, usage in rows:
        gb_s = usage["mib_ms"] / MIB_MS_PER_GB_S
        before = used.get(day[:7], 0.0)
        used[day[:7]] = before + gb_s
        compute_usd = _tiered(before, gb_s)
        compute_usd += usage["tmp_mib_ms"] / MIB_MS_PER_GB_S * TMP_GB_S_USD
        requests_usd = usage["requests"] * REQUEST_USD
        priced.append(
            {
                "day": day,
                "function": function,
                "requests": usage["requests"],
                "billedMs": usage["billed_ms"],
                "gbSeconds": round(gb_s, 6),
                "usd": round(compute_usd + requests_usd, 12),
            }
        )
    return priced


def _tiered(before: float, amount: float) -> float:
    total = start = 0.0
    for size, usd in GB_S_TIERS:
        low, high = max(before, start), min(before + amount, start + size)
        total += max(0.0, high - low) * usd
        start += size
    return total


async def cost(ctx: Ctx, meter: Meter, request: Request) -> Response:  # noqa: ARG001
    """`GET /_lambent/cost`: the default account and region's usage by day and function."""
    await meter.flush()
    prefix = ctx.key(NOUN)
    rows: list[tuple[str, str, Any]] = []
    after: Key | None = None
    while found := await ctx.store.scan(prefix, after=after):
        rows += [(row.key[-2], row.key[-1], row.value) for row in found]
        after = found[-1].key
    lines = priced(rows)
    return json_response({"usage": lines, "usd": round(sum(line["usd"] for line in lines), 12)})
