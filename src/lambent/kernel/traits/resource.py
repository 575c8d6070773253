"""A noun with a life: Create, Get, List, Update, Delete from one declaration.

A record is stored under its wire names: the create request, plus what is computed. Outputs are the
record itself, as `shown` dresses it; the wire's serialiser prunes it to the shape, so a private
member may live in a record. Tags are not in the record but in the one place where all tags are.

A noun that lives in another (a stream in a log group) names it by `parents` and `parent`: creating
it holds the parent's record in place, so that the parent cannot be deleted at the same time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from lambent.kernel.context import Ctx, Wire
from lambent.kernel.traits.listing import (
    BAD_TOKEN,
    LIST_MAX,
    Missing,
    Paging,
    filtered_page,
    listed,
)
from lambent.kernel.traits.retry import retried
from lambent.kernel.traits.tagging import Tagging
from lambent.store.protocol import ABSENT, Change, Conflict, Delete, Key, Put, Record

if TYPE_CHECKING:
    from lambent.kernel.service import Operation, Service

__all__ = ["Missing", "Parent", "Resource", "Update", "Verb", "filtered_page", "held", "key_parts"]

Parent = Callable[[Ctx, Wire], Awaitable[Record]]
Update = Callable[[Ctx, Wire, Wire], Wire]
"""The record after an update: (ctx, record, request) -> record. May refuse by raising."""

Verb = Literal["create", "read", "list", "update"]
"""What an answer is about, for records that are not shown alike everywhere."""


async def _nothing(ctx: Ctx, request: Wire, record: Wire) -> tuple[Change, ...]:  # noqa: ARG001
    return ()


async def _unchanged(ctx: Ctx, verb: Verb, record: Wire) -> Wire:  # noqa: ARG001
    return record


def key_parts(request: Wire, names: tuple[str, ...], fold: bool) -> tuple[str, ...]:
    """What `names` are in `request`, as parts of a key."""
    return tuple(request[name].lower() if fold else request[name] for name in names)


def held(parent: Record | None) -> tuple[Change, ...]:
    """The change that fails if `parent` is changed or deleted before it is applied."""
    return () if parent is None else (Put(parent.key, parent.value, expect=parent.version),)


class Resource(Struct, frozen=True, kw_only=True):
    """One noun of a service. Operation names are written out, so that they can be found."""

    noun: str
    id: str
    """The request member that names it."""
    parents: tuple[str, ...] = ()
    """The request members that name what it lives in, outermost first."""
    parent: Parent | None = None
    """The record that it lives in; raises what AWS answers where there is none."""
    named: Callable[[Wire], Wire] = lambda request: request
    """A request with `parents` and `id`, where some operations name it otherwise (by ARN)."""
    missing: Missing
    exists: Missing | None = None
    """None: creating it again answers the one that is there, if the request is the same."""
    fold: bool = False
    """Names that differ only in case are the same."""
    create: str = ""
    read: str = ""
    list: str = ""
    update: str = ""
    delete: str = ""
    member: str = ""
    """The output member that holds the record; empty: the output is the record."""
    items: str = ""
    """The list's output member."""
    filter: str = ""
    """The list's request member that items' ids must start with."""
    keep: Callable[[Wire, Wire], bool] | None = None
    """Whether a list shows a record: (request, record)."""
    paging: Paging | None = None
    """None: the model's paginator."""
    list_max: int = LIST_MAX
    list_usual: int = 0
    """Items in a page when the request does not say; 0: `list_max`."""
    bad_token: Missing = BAD_TOKEN
    computed: Callable[[Ctx, Wire], Wire] = lambda _ctx, _request: {}
    """Members that the request does not bring; None for those that it brings in vain."""
    updated: Update = lambda _ctx, record, request: record | request
    updates: Mapping[str, Update] = field(default_factory=dict)
    """Further operations that change the record, by name."""
    extra: Callable[[Ctx, Wire, Wire], Awaitable[tuple[Change, ...]]] = _nothing
    """Changes that belong to a create: (ctx, request, record); may refuse."""
    removed: Callable[[Ctx, Wire, Wire], Awaitable[tuple[Change, ...]]] = _nothing
    """Changes that belong to a delete: (ctx, request, record); may refuse by raising."""
    shown: Callable[[Ctx, Verb, Wire], Awaitable[Wire]] = _unchanged
    """The record as an answer shows it: (ctx, verb, record)."""
    tagging: Tagging | None = None
    """Its tags, when the create request may bring some."""
    arn: str = ""
    """The record's member with its ARN, by which it is tagged."""
    tags_shown: bool = False
    """Whether Create and Get answer with the tags."""

    def key(self, ctx: Ctx, request: Wire) -> Key:
        """The store key of the one that a request names."""
        names = (*self.parents, self.id)
        return ctx.key(self.noun, *key_parts(self.named(request), names, self.fold))

    async def find(self, ctx: Ctx, request: Wire) -> Record | None:
        """The record that a request names, or None."""
        return await ctx.store.get(self.key(ctx, request))

    async def fetch(self, ctx: Ctx, request: Wire) -> Record:
        """The record that a request names. Errors: `missing`, and what `parent` raises."""
        record = await self.find(ctx, request)
        if record is not None:
            return record
        if self.parent is not None:
            await self.parent(ctx, request)
        named = self.named(request)
        raise self.missing.error(**named | {"id": named[self.id], "ctx": ctx})

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:
        """The named operations."""
        verbs: dict[str, Operation] = {
            self.create: retried(self._create),
            self.read: self._read,
            self.delete: retried(self._delete),
            **{
                name: retried(self._updater(update))
                for name, update in {self.update: self.updated, **self.updates}.items()
            },
        }
        yield from ((name, verb) for name, verb in verbs.items() if name)
        if self.list:
            yield self.list, self._lister(service)

    async def out(self, ctx: Ctx, verb: Verb, record: Wire) -> Wire:
        """The answer of an operation about one record."""
        shown = await self.shown(ctx, verb, record)
        tagging = self.tagging if self.tags_shown else None
        if tagging is not None and verb in ("create", "read"):
            tags = await tagging.of(ctx, record[self.arn])
            shown = shown | ({tagging.tags: tagging.as_wire(tags)} if tags else {})
        return {self.member: shown} if self.member else shown

    async def insert(self, ctx: Ctx, request: Wire, *more: Change) -> Wire:
        """Create the record that `request` asks for, together with `more`; returns it.

        Errors: `exists`, what `parent`, `computed` and `extra` raise.
        """
        parent = await self.parent(ctx, request) if self.parent is not None else None
        made = request | self.computed(ctx, request)
        if self.tagging is not None:
            made.pop(self.tagging.tags, None)
        record = {name: value for name, value in made.items() if value is not None}
        changes = [*await self.extra(ctx, request, record), *held(parent), *more]
        if self.tagging is not None and (tags := request.get(self.tagging.tags)):
            changes.append(self.tagging.change(ctx, record[self.arn], self.tagging.accepted(tags)))
        key = self.key(ctx, request)
        try:
            await ctx.commit(Put(key, record, expect=ABSENT), *changes)
        except Conflict as conflict:
            if conflict.key != key:
                raise
            return await self._existing(ctx, request)
        return record

    async def _existing(self, ctx: Ctx, request: Wire) -> Wire:
        old = await self.fetch(ctx, request)
        same = all(old.value.get(name) == value for name, value in request.items())
        if self.exists is None and same:
            return old.value
        names = request | {"id": request[self.id], "ctx": ctx}
        raise (self.exists or self.missing).error(**names) from None

    async def _create(self, ctx: Ctx, request: Wire) -> Wire:
        return await self.out(ctx, "create", await self.insert(ctx, request))

    async def _read(self, ctx: Ctx, request: Wire) -> Wire:
        return await self.out(ctx, "read", (await self.fetch(ctx, request)).value)

    def _updater(self, update: Update) -> Operation:
        async def change(ctx: Ctx, request: Wire) -> Wire:
            old = await self.fetch(ctx, request)
            record = update(ctx, old.value, request)
            await ctx.commit(Put(old.key, record, expect=old.version))
            return await self.out(ctx, "update", record)

        return change

    async def _delete(self, ctx: Ctx, request: Wire) -> Wire:
        old = await self.fetch(ctx, request)
        changes = [*await self.removed(ctx, request, old.value)]
        if self.tagging is not None:
            changes.append(self.tagging.change(ctx, old.value[self.arn], {}))
        await ctx.commit(Delete(old.key, expect=old.version), *changes)
        return {}

    def _starts(self, request: Wire) -> str:
        starts: str = request.get(self.filter, "") if self.filter else ""
        return starts.lower() if self.fold else starts

    def _lister(self, service: Service) -> Operation:
        paged = cache(lambda: self.paging or Paging.of(service, self.list))

        async def list_(ctx: Ctx, request: Wire) -> Wire:
            if self.parent is not None:
                await self.parent(ctx, request)
            paging = paged()
            keep = self.keep
            parents = key_parts(self.named(request), self.parents, self.fold)
            rows, token = await listed(
                ctx,
                ctx.key(self.noun, *parents),
                request,
                paging,
                most=self.list_max,
                usual=self.list_usual,
                starts=self._starts(request),
                keep=None if keep is None else lambda record: keep(request, record),
                bad_token=self.bad_token,
            )
            shown: list[Any] = [await self.shown(ctx, "list", row.value) for row in rows]
            return paging.answer(self.items, shown, token)

        return list_
