"""A document on a parent: Put, Get, Delete of one value (a bucket's CORS, a role's inline policy).

Source of the family: architecture.md section 1.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.kernel.context import Ctx, Wire
from lambent.kernel.traits.listing import BAD_TOKEN, LIST_MAX, Missing, Paging, listed
from lambent.kernel.traits.resource import Parent, held, key_parts
from lambent.kernel.traits.retry import retried
from lambent.store.protocol import Delete, Key, Put, Record

if TYPE_CHECKING:
    from lambent.kernel.service import Operation, Service


async def _anything(ctx: Ctx, request: Wire) -> None:
    """No check."""


class Document(Struct, frozen=True, kw_only=True):
    """One document kind. It is stored under (noun, *ids) with the request as it came."""

    noun: str
    ids: tuple[str, ...]
    """Request members that name it: the parent's id first, then its own if it has one."""
    missing: Missing | None
    """What Get (and Delete, unless `forgiving`) answers when there is none; None: `{}`."""
    put: str
    read: str = ""
    delete: str = ""
    list: str = ""
    """Lists the last of `ids`, of all that are on one parent."""
    items: str = ""
    """The list's output member."""
    paging: Paging | None = None
    """None: the model's paginator."""
    list_max: int = LIST_MAX
    list_usual: int = 0
    bad_token: Missing = BAD_TOKEN
    fold: bool = False
    """Names that differ only in case are the same."""
    forgiving: bool = False
    """Deleting what is not there succeeds."""
    parent: Parent | None = None
    """The record that it lives on, held in place while a document is put; raises if missing."""
    check: Callable[[Ctx, Wire], Awaitable[None]] = _anything
    """Refuses a put by raising: a document that is malformed or too long."""
    writable: Callable[[Ctx, Wire], Awaitable[None]] = _anything
    """Refuses a put and a delete by raising: a parent that may not be changed."""
    shown: Callable[[Wire], Wire] = lambda document: document
    """The document as Get answers it."""

    def key(self, ctx: Ctx, request: Wire) -> Key:
        """The store key of the document that a request names."""
        return ctx.key(self.noun, *key_parts(request, self.ids, self.fold))

    async def find(self, ctx: Ctx, request: Wire) -> Record | None:
        """The stored document that a request names, or None."""
        return await ctx.store.get(self.key(ctx, request))

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:
        """The named operations."""
        verbs: dict[str, Operation] = {
            self.put: retried(self._put),
            self.read: self._read,
            self.delete: self._delete,
        }
        yield from ((name, verb) for name, verb in verbs.items() if name)
        if self.list:
            yield self.list, self._lister(service)

    async def _put(self, ctx: Ctx, request: Wire) -> Wire:
        parent = await self.parent(ctx, request) if self.parent is not None else None
        await self.writable(ctx, request)
        await self.check(ctx, request)
        await ctx.commit(Put(self.key(ctx, request), request), *held(parent))
        return {}

    async def _read(self, ctx: Ctx, request: Wire) -> Wire:
        record = await self._found(ctx, request)
        if record is None:
            if self.missing is None:
                return {}
            raise self.missing.error(**request | {"ctx": ctx})
        return self.shown(record.value)

    async def _delete(self, ctx: Ctx, request: Wire) -> Wire:
        record = await self._found(ctx, request)
        await self.writable(ctx, request)
        if record is not None:
            await ctx.commit(Delete(record.key))
        elif not self.forgiving and self.missing is not None:
            raise self.missing.error(**request | {"ctx": ctx})
        return {}

    async def _found(self, ctx: Ctx, request: Wire) -> Record | None:
        if self.parent is not None:
            await self.parent(ctx, request)
        return await self.find(ctx, request)

    def _lister(self, service: Service) -> Operation:
        paged = cache(lambda: self.paging or Paging.of(service, self.list))

        async def list_(ctx: Ctx, request: Wire) -> Wire:
            if self.parent is not None:
                await self.parent(ctx, request)
            paging = paged()
            rows, token = await listed(
                ctx,
                ctx.key(self.noun, *key_parts(request, self.ids[:-1], self.fold)),
                request,
                paging,
                most=self.list_max,
                usual=self.list_usual,
                bad_token=self.bad_token,
            )
            return paging.answer(self.items, [row.value[self.ids[-1]] for row in rows], token)

        return list_
