"""What an operation is given: who asks, where, and the whole outside world. Nothing is ambient.

Invariant: a service reaches store, clock, ids and other services through its `Ctx` only, so that a
whole platform runs in one process from a seed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from lambent.base.arn import partition_of
from lambent.store.protocol import Change, Key, Record, Store

if TYPE_CHECKING:
    from lambent.kernel.platform import Platform

Wire = dict[str, Any]
"""Members under their wire names, as the service model spells them."""

Event = tuple[str, Wire]
"""A domain event: its name (`ObjectCreated`, past tense) and its detail."""


class Principal(Struct, frozen=True):
    """Who asks. `arn` and `user_id` are what STS GetCallerIdentity answers."""

    account: str
    arn: str
    user_id: str
    access_key: str = ""

    @classmethod
    def root(cls, account: str, partition: str = "aws", access_key: str = "") -> Principal:
        """The account itself."""
        return cls(account, f"arn:{partition}:iam::{account}:root", account, access_key)


class Ctx(Struct, frozen=True):
    """One request's surroundings."""

    platform: Platform
    service: str
    account: str
    region: str
    principal: Principal
    request_id: str
    trace_id: str = ""
    """The X-Amzn-Trace-Id header, as it came."""
    peer: str = ""
    """The caller's address."""
    origin: str = ""
    """`http://host:port` by which the caller reached us, for answers that hold addresses."""

    @property
    def store(self) -> Store:
        """All durable state; keys start with `key(...)`."""
        return self.platform.store

    @property
    def engine(self) -> Any:
        """The running part of this service, as its `Service.start` made it."""
        return self.platform.engines[self.service]

    def now(self) -> float:
        """Platform time, seconds since the epoch."""
        return self.platform.clock.now()

    def key(self, noun: str, *parts: str) -> Key:
        """The store key of a resource of this service, in this account and region."""
        return (self.account, self.region, self.service, noun, *parts)

    def arn(self, resource: str, *, service: str = "", region: str | None = None) -> str:
        """An ARN in this account: `ctx.arn("function:f")`; `region=""` for global services."""
        where = self.region if region is None else region
        partition = partition_of(self.region)
        return f"arn:{partition}:{service or self.service}:{where}:{self.account}:{resource}"

    async def get(self, noun: str, *parts: str) -> Record | None:
        """The record of a resource of this service."""
        return await self.platform.store.get(self.key(noun, *parts))

    async def commit(self, *changes: Change, events: Iterable[Event] = ()) -> list[int]:
        """Apply `changes` durably; `events` are committed with them, then told to who listens.

        Errors: Conflict (an `expect` did not hold), StoreFull.
        """
        return await self.platform.bus.commit(self, changes, tuple(events))

    async def call(self, service: str, operation: str, params: Wire) -> Wire:
        """Another service, by the same front door, as the same principal. Errors: AwsError."""
        return await self.platform.call(self, service, operation, params)

    def within(self, service: str) -> Ctx:
        """The same surroundings, seen from another service."""
        return replace(self, service=service)

    def acting_as(self, principal: Principal) -> Ctx:
        """The same surroundings under another identity."""
        return replace(self, principal=principal)
