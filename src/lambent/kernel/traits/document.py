"""A document on a parent: Put, Get, Delete of one value (a bucket's CORS, a role's inline policy).

Source of the family: architecture.md section 1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambent.kernel.context import Ctx, Wire
from lambent.kernel.traits.resource import Missing
from lambent.store.protocol import Delete, Put, Record

if TYPE_CHECKING:
    from lambent.kernel.service import Operation, Service


async def _anything(ctx: Ctx, request: Wire) -> None:
    """No check."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document kind. It is stored under (noun, *ids) with the request as it came."""

    noun: str
    ids: tuple[str, ...]
    """Request members that name it: the parent's id first, then its own if it has one."""
    missing: Missing | None
    """What Get (and Delete, unless `forgiving`) answers when there is none; None: `{}`."""
    put: str
    read: str = ""
    delete: str = ""
    forgiving: bool = False
    """Deleting what is not there succeeds."""
    check: Callable[[Ctx, Wire], Awaitable[None]] = _anything
    """Refuses by raising: a parent that is missing, a document that is malformed."""

    async def find(self, ctx: Ctx, request: Wire) -> Record | None:
        """The stored document that a request names, or None."""
        return await ctx.get(self.noun, *(request[id] for id in self.ids))

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:  # noqa: ARG002
        """The named operations."""
        verbs = {self.put: self._put, self.read: self._read, self.delete: self._delete}
        yield from ((name, verb) for name, verb in verbs.items() if name)

    async def _put(self, ctx: Ctx, request: Wire) -> Wire:
        await self.check(ctx, request)
        key = ctx.key(self.noun, *(request[id] for id in self.ids))
        await ctx.commit(Put(key, request))
        return {}

    async def _read(self, ctx: Ctx, request: Wire) -> Wire:
        await self.check(ctx, request)
        record = await self.find(ctx, request)
        if record is None:
            if self.missing is None:
                return {}
            raise self.missing.error(ctx=ctx, **request)
        return record.value

    async def _delete(self, ctx: Ctx, request: Wire) -> Wire:
        await self.check(ctx, request)
        record = await self.find(ctx, request)
        if record is not None:
            await ctx.commit(Delete(record.key))
        elif not self.forgiving and self.missing is not None:
            raise self.missing.error(ctx=ctx, **request)
        return {}
