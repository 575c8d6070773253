"""Durable timers: work that is due at a time and survives the server that set it.

A timer is a record under the platform's own tenant, ordered by due time. Its handler runs at least
once: the record is deleted after the handler has ended, or moved to a later time if the handler
answers `Again`. Handlers are declared by services (`Service.timers`) and named by `service` and
`kind`, so that a restarted server finds them. They must not wait for the platform's clock: a
virtual clock waits for them before it moves on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.base.clock import Timer
from lambent.base.tasks import Tasks
from lambent.kernel.context import Ctx, Wire
from lambent.store.protocol import Conflict, Delete, Key, Put, Record, StoreFull

if TYPE_CHECKING:
    from lambent.kernel.platform import Platform

SYSTEM = "-"
"""The tenant of what belongs to the platform itself."""

RETRY_S = 60.0
"""A timer whose handler failed is tried again after this long."""

FIRING_MAX = 1_000
"""Handlers that run at once; further ones wait their turn."""

_PREFIX: Key = (SYSTEM, SYSTEM, "kernel", "Timer")
_log = logging.getLogger("lambent.timers")


class Again(Struct, frozen=True):
    """A handler's answer: run once more at `due_s` with `payload`."""

    due_s: float
    payload: Wire


TimerHandler = Callable[[Ctx, Wire], Awaitable[Again | None]]


class Timers:
    """All pending timers of a platform."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._armed: dict[Key, Timer] = {}
        self._fired = Tasks("timers", limit=10_000_000)
        self._turns = asyncio.Semaphore(FIRING_MAX)
        self._kinds: dict[tuple[str, str], TimerHandler] = {
            (service.name, kind): handler
            for service in platform.registry.services.values()
            for kind, handler in service.timers.items()
        }

    def handle(self, service: str, kind: str, handler: TimerHandler) -> None:
        """Register a handler of the kernel's own."""
        self._kinds[service, kind] = handler

    async def start(self) -> None:
        """Arm what is in the store."""
        after: Key | None = None
        while rows := await self._platform.store.scan(_PREFIX, after=after, limit=1000):
            for row in rows:
                self._arm(row.key, row.value)
            after = rows[-1].key

    async def stop(self) -> None:
        """Disarm; the records stay."""
        for timer in self._armed.values():
            timer.cancel()
        self._armed.clear()
        await self._fired.close()

    @property
    def busy(self) -> bool:
        """Whether a handler is running or waits for its turn."""
        return len(self._fired) > 0

    async def settled(self) -> None:
        """Wait until the handlers that are running have ended."""
        await self._fired.join()

    async def forget(self, account: str | None, region: str | None, service: str | None) -> None:
        """Drop the timers of an account, region or service (None: of any)."""
        after: Key | None = None
        while rows := await self._platform.store.scan(_PREFIX, after=after):
            after = rows[-1].key
            doomed = [
                row.key
                for row in rows
                if account in (None, row.value["account"])
                and region in (None, row.value["region"])
                and service in (None, row.value["service"])
            ]
            for key in doomed:
                if timer := self._armed.pop(key, None):
                    timer.cancel()
            await self._platform.store.commit(*map(Delete, doomed))

    def put(self, ctx: Ctx, kind: str, due_s: float, payload: Wire, *, id: str) -> Put:
        """The change that sets a timer: commit it, then call `armed` with it.

        `id` names the timer within (service, kind): setting it again at the same time replaces it.
        """
        value = {
            "service": ctx.service,
            "kind": kind,
            "account": ctx.account,
            "region": ctx.region,
            "due": due_s,
            "payload": payload,
        }
        return Put(_key(ctx, kind, due_s, id), value)

    def armed(self, put: Put) -> None:
        """Arm a timer whose `put` has been committed."""
        self._arm(put.key, put.value)

    def drop(self, ctx: Ctx, kind: str, due_s: float, *, id: str) -> Delete:
        """The change that removes a timer. It counts once it is committed: the running server
        finds nothing to do when the time comes."""
        return Delete(_key(ctx, kind, due_s, id))

    async def set(self, ctx: Ctx, kind: str, due_s: float, payload: Wire, *, id: str) -> None:
        """Set a timer on its own."""
        put = self.put(ctx, kind, due_s, payload, id=id)
        await self._platform.store.commit(put)
        self.armed(put)

    def _arm(self, key: Key, value: Wire) -> None:
        if old := self._armed.pop(key, None):
            old.cancel()

        def fire() -> None:
            self._armed.pop(key, None)
            self._fired.start("/".join(key[5:7]), self._fire(key))

        self._armed[key] = self._platform.clock.call_at(value["due"], fire)

    async def _fire(self, key: Key) -> None:
        async with self._turns:
            row = await self._platform.store.get(key)
            if row is None:
                return
            again = await self._run(row)
            try:
                await self._done(row, again)
            except Conflict:
                _log.debug("timer %s/%s was dropped or set anew while it ran", *key[5:7])
            except StoreFull as error:
                _log.error("timer %s/%s runs again in %s s: %s", *key[5:7], RETRY_S, error)
                self._arm(key, row.value | {"due": self._platform.clock.now() + RETRY_S})

    async def _run(self, row: Record) -> Again | None:
        value = row.value
        handler = self._kinds.get((value["service"], value["kind"]))
        ctx = self._platform.context(value["service"], value["account"], value["region"])
        try:
            if handler is None:
                raise LookupError(f"no handler for timer {value['service']}/{value['kind']}")
            return await handler(ctx, value["payload"])
        except Exception:  # noqa: BLE001 - the supervisor's place: a timer must not be lost
            _log.exception("timer %s/%s failed; again in %s s", *row.key[5:7], RETRY_S)
            return Again(self._platform.clock.now() + RETRY_S, value["payload"])

    async def _done(self, row: Record, again: Again | None) -> None:
        done = Delete(row.key, expect=row.version)
        if again is None:
            await self._platform.store.commit(done)
            return
        key = (*row.key[:4], _due(again.due_s), *row.key[5:])
        put = Put(key, row.value | {"due": again.due_s, "payload": again.payload})
        await self._platform.store.commit(done, put)
        self.armed(put)


def _due(due_s: float) -> str:
    return f"{int(due_s * 1000):015d}"


def _key(ctx: Ctx, kind: str, due_s: float, id: str) -> Key:
    return (*_PREFIX, _due(due_s), ctx.service, kind, ctx.account, ctx.region, id)
