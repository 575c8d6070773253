"""The outbox bus: a domain event is committed with the change that caused it, then told to whoever
declared to listen, at least once and in order, each consumer at its own pace.

No service awaits a consumer. An event that nobody listens to is not written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from lambent.base.clock import Timer
from lambent.base.tasks import Tasks
from lambent.kernel.context import Ctx, Event, Wire
from lambent.kernel.timers import SYSTEM
from lambent.store.protocol import Append, Change, Entry, Key, Put, StoreFull, Trim

if TYPE_CHECKING:
    from lambent.kernel.platform import Platform
    from lambent.kernel.service import Consumer

RETRY_S = 1.0
"""A consumer that failed gets the event again after this long, then twice as long, to
RETRY_S_MAX."""
RETRY_S_MAX = 300.0
BATCH = 256

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder().decode
_log = logging.getLogger("lambent.bus")


class Bus:
    """All subscriptions of a platform, one log per consumer."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._subscriptions: dict[str, list[Subscription]] = {}
        for service in platform.registry.services.values():
            for event, consumer in service.consumers.items():
                subscription = Subscription(platform, service.name, event, consumer)
                self._subscriptions.setdefault(event, []).append(subscription)

    async def start(self) -> None:
        """Take up what was told and not yet heard."""
        for subscription in self._all():
            subscription.wake()

    async def stop(self) -> None:
        """Stop telling; what is pending stays in the store."""
        for subscription in self._all():
            await subscription.stop()

    @property
    def busy(self) -> bool:
        """Whether a consumer is being told something."""
        return any(subscription.busy for subscription in self._all())

    async def settled(self) -> None:
        """Wait until every consumer has heard everything, or waits to be told again."""
        for subscription in self._all():
            await subscription.settled()

    async def commit(
        self, ctx: Ctx, changes: tuple[Change, ...], events: tuple[Event, ...]
    ) -> list[int]:
        """Commit `changes` with the events that follow from them; wake the consumers."""
        if not events:
            return await self._platform.store.commit(*changes)
        heard = [
            (subscription, detail)
            for name, detail in events
            for subscription in self._subscriptions.get(f"{ctx.service}.{name}", ())
        ]
        told = [
            Append(subscription.log, _encode([ctx.account, ctx.region, detail]))
            for subscription, detail in heard
        ]
        versions = await self._platform.store.commit(*changes, *told)
        for subscription, _ in heard:
            subscription.wake()
        return versions[: len(changes)]

    def _all(self) -> list[Subscription]:
        return [one for many in self._subscriptions.values() for one in many]


class Subscription:
    """One consumer of one event, with its own log and pace."""

    def __init__(self, platform: Platform, service: str, event: str, consumer: Consumer) -> None:
        self._platform = platform
        self._service = service
        self._consumer = consumer
        # Two: one that has ended stays a turn of the loop longer.
        self._tasks = Tasks(f"bus/{service}/{event}", limit=2)
        self._telling = False
        self._retry: Timer | None = None
        self._again = False
        self._quiet = asyncio.Event()
        self._quiet.set()
        self.log: Key = (SYSTEM, SYSTEM, "kernel", "Outbox", service, event)
        self._cursor: Key = (SYSTEM, SYSTEM, "kernel", "OutboxCursor", service, event)

    def wake(self) -> None:
        """Tell what is pending, unless that is under way."""
        self._again = True
        if not self._telling:
            self._telling = True
            self._quiet.clear()
            self._tasks.start("tell", self._tell())

    async def stop(self) -> None:
        """Stop; what is pending stays."""
        if self._retry is not None:
            self._retry.cancel()
        await self._tasks.close()
        self._telling = False
        self._quiet.set()

    @property
    def busy(self) -> bool:
        """Whether something is being told."""
        return not self._quiet.is_set()

    async def settled(self) -> None:
        """Wait until nothing is being told, or a consumer that failed waits for its retry."""
        await self._quiet.wait()

    async def _tell(self) -> None:
        try:
            row = await self._platform.store.get(self._cursor)
            heard = row.value["seq"] if row else 0
            while self._again:
                self._again = False
                heard = await self._tell_from(heard)
        finally:
            # In the turn that saw no more to tell: no wake can fall between.
            self._telling = False
            self._quiet.set()

    async def _tell_from(self, heard: int) -> int:
        store = self._platform.store
        while entries := await store.read_log(self.log, after=heard, limit=BATCH):
            for entry in entries:
                await self._until(partial(self._hear, entry))
                heard = entry.seq
            await self._until(partial(self._remember, heard))
        return heard

    async def _until(self, step: Callable[[], Awaitable[bool]]) -> None:
        delay_s = RETRY_S
        while not await step():
            await self._wait(delay_s)
            delay_s = min(2 * delay_s, RETRY_S_MAX)

    async def _remember(self, heard: int) -> bool:
        try:
            await self._platform.store.commit(
                Put(self._cursor, {"seq": heard}), Trim(self.log, heard)
            )
        except StoreFull as error:
            _log.error("consumer %s cannot go on: %s", self.log[4:], error)
            return False
        return True

    async def _wait(self, delay_s: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        due_s = self._platform.clock.now() + delay_s
        self._retry = self._platform.clock.call_at(
            due_s, lambda: None if woken.done() else woken.set_result(None)
        )
        self._quiet.set()
        await woken
        self._quiet.clear()
        self._retry = None

    async def _hear(self, entry: Entry) -> bool:
        account, region, detail = _decode(entry.value)
        ctx = self._platform.context(self._service, account, region)
        try:
            await self._consumer(ctx, _wire(detail))
        except Exception:  # noqa: BLE001 - the supervisor's place: an event must not be lost
            _log.exception("consumer %s failed; it will be told again", self.log[4:])
            return False
        return True


def _wire(detail: object) -> Wire:
    assert isinstance(detail, dict)
    return detail
