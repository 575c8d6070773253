"""The one way out: deliver a payload to a target ARN, as a role, until it arrives or is given up.

A delivery is a durable timer that is moved until it arrives, so it survives the server that
accepted it; N producers and M targets meet here instead of in N times M places. Attempts back off
exponentially. What is given up goes to the dead-letter target, as a delivery without a dead letter.
At least once: a crash between the target's answer and the timer's deletion delivers again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from lambent.base.arn import Arn
from lambent.base.errors import AwsError
from lambent.kernel.context import Ctx, Principal, Wire
from lambent.kernel.identity import role_session
from lambent.kernel.service import not_implemented
from lambent.kernel.timers import Again
from lambent.store.protocol import Put

if TYPE_CHECKING:
    from lambent.kernel.platform import Platform

_log = logging.getLogger("lambent.delivery")

TIMER = "delivery"


class Retry(Struct, frozen=True, kw_only=True):
    """How long to try. The wait doubles from `first_s` to `most_s`; `attempts` counts all tries."""

    attempts: int = 3
    age_s_max: float = 21_600.0
    first_s: float = 1.0
    most_s: float = 300.0

    def wait_s(self, attempt: int) -> float:
        """The wait after attempt number `attempt`, counted from 1."""
        return float(min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 32)))


class Delivery(Struct, frozen=True, kw_only=True):
    """What to deliver. `attributes` are strings that the target may carry beside the payload."""

    target: str
    payload: bytes
    role: str = ""
    """The role ARN under which the target is called; empty: the caller's own identity."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    retry: Retry = field(default_factory=Retry)
    dead_letter: str = ""


class UndeliverableError(AwsError):
    """The target cannot take deliveries: refused when it is configured, not when it is due."""


class Deliveries:
    """All deliveries of a platform that have not arrived yet."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        platform.timers.handle("kernel", TIMER, self._attempt)

    def check(self, target: str) -> None:
        """Raise unless some served service takes deliveries for `target`, an ARN."""
        try:
            arn = Arn.parse(target)
        except ValueError as error:
            raise UndeliverableError("InvalidParameterValueException", str(error)) from error
        if self._platform.registry.target(arn.service, arn.resource) is None:
            raise not_implemented(f"delivery to {target}")

    async def send(self, ctx: Ctx, delivery: Delivery) -> None:
        """Accept `delivery` durably, then try it at once. Errors: StoreFull."""
        put = self.put(ctx, delivery)
        await self._platform.store.commit(put)
        self._platform.timers.armed(put)

    def put(self, ctx: Ctx, delivery: Delivery) -> Put:
        """The change that accepts `delivery`: commit it with its cause, then `timers.armed` it."""
        now_s = self._platform.clock.now()
        who = ctx.principal
        payload = {
            "principal": [who.account, who.arn, who.user_id],
            "target": delivery.target,
            "payload": delivery.payload,
            "role": delivery.role,
            "attributes": dict(delivery.attributes),
            "retry": [
                delivery.retry.attempts,
                now_s + delivery.retry.age_s_max,
                delivery.retry.first_s,
                delivery.retry.most_s,
            ],
            "dead_letter": delivery.dead_letter,
            "attempt": 1,
        }
        id = self._platform.ids.uuid()
        return self._platform.timers.put(ctx.within("kernel"), TIMER, now_s, payload, id=id)

    async def _attempt(self, ctx: Ctx, payload: Wire) -> Again | None:
        account, arn, user_id = payload["principal"]
        ctx = ctx.acting_as(Principal(account, arn, user_id))
        if payload["role"]:
            ctx = ctx.acting_as(role_session(payload["role"], "lambent-delivery"))
        try:
            await self._call(ctx, payload)
        except AwsError as error:
            return await self._failed(ctx, payload, error)
        return None

    async def _call(self, ctx: Ctx, payload: Wire) -> None:
        arn = Arn.parse(payload["target"])
        found = self._platform.registry.target(arn.service, arn.resource)
        if found is None:
            raise not_implemented(f"delivery to {arn}")
        service, target = found
        params = target.request(payload["target"], payload["payload"], payload["attributes"])
        ctx = replace(ctx, account=arn.account or ctx.account, region=arn.region or ctx.region)
        await ctx.call(service.name, target.operation, params)

    async def _failed(self, ctx: Ctx, payload: Wire, error: AwsError) -> Again | None:
        attempts_max, expires_s, first_s, most_s = payload["retry"]
        attempt = payload["attempt"]
        retry = Retry(first_s=first_s, most_s=most_s)
        due_s = self._platform.clock.now() + retry.wait_s(attempt)
        if attempt < attempts_max and due_s <= expires_s:
            return Again(due_s, payload | {"attempt": attempt + 1})
        _log.warning("gave up delivering to %s: %s", payload["target"], error)
        if payload["dead_letter"]:
            dead = Delivery(
                target=payload["dead_letter"],
                payload=payload["payload"],
                role=payload["role"],
                attributes=payload["attributes"]
                | {"ErrorCode": error.code, "ErrorMessage": error.message or ""},
            )
            await self.send(ctx, dead)
        return None
