"""A noun with a life: Create, Get, List, Update, Delete from one declaration.

A record is stored under its wire names: the create request, plus what is computed. Outputs are the
record itself; the wire's serialiser prunes it to the shape. Paging names come from the model's
paginators unless stated, because those are incomplete.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lambent.base.errors import AwsError
from lambent.kernel.context import Ctx, Wire
from lambent.kernel.paging import BadTokenError, page
from lambent.store.protocol import ABSENT, Change, Conflict, Delete, Put, Record

if TYPE_CHECKING:
    from lambent.kernel.service import Operation, Service

LIST_MAX = 1000
"""Items in one page where neither the request nor the declaration says otherwise."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What AWS says when something is not there, or already is: code and a text with `{id}`."""

    code: str
    text: str
    status: int | None = None

    def error(self, **names: Any) -> AwsError:
        """The error, its text filled in."""
        return AwsError(self.code, self.text.format(**names), status=self.status)


async def _nothing(ctx: Ctx, record: Wire) -> tuple[Change, ...]:  # noqa: ARG001
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One noun of a service. Operation names are written out, so that they can be found."""

    noun: str
    id: str
    """The request member that names it."""
    missing: Missing
    exists: Missing | None = None
    """None: creating it again answers the one that is there, if the request is the same."""
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
    paging: tuple[str, str, str, str] | None = None
    """(input token, output token, limit, more-results flag or ""); None: the model's paginator."""
    list_max: int = LIST_MAX
    computed: Callable[[Ctx, Wire], Wire] = lambda _ctx, _request: {}
    """Members that the request does not bring."""
    updated: Callable[[Ctx, Wire, Wire], Wire] = lambda _ctx, record, request: record | request
    """The record after an update: (ctx, record, request) -> record."""
    extra: Callable[[Ctx, Wire], Awaitable[tuple[Change, ...]]] = _nothing
    """Changes that belong to a create (tags, children), given the new record; may refuse."""
    removed: Callable[[Ctx, Wire], Awaitable[tuple[Change, ...]]] = _nothing
    """Changes that belong to a delete, given the record; may refuse by raising."""

    async def find(self, ctx: Ctx, id: str) -> Record | None:
        """The stored record, or None."""
        return await ctx.get(self.noun, id)

    async def fetch(self, ctx: Ctx, request: Wire) -> Record:
        """The record that a request names. Errors: `missing`."""
        id = request[self.id]
        record = await self.find(ctx, id)
        if record is None:
            raise self.missing.error(id=id, ctx=ctx)
        return record

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:
        """The named operations."""
        verbs = {
            self.create: self._create,
            self.read: self._read,
            self.update: self._update,
            self.delete: self._delete,
        }
        yield from ((name, verb) for name, verb in verbs.items() if name)
        if self.list:
            yield self.list, self._lister(service)

    def _out(self, record: Wire) -> Wire:
        return {self.member: record} if self.member else record

    async def _create(self, ctx: Ctx, request: Wire) -> Wire:
        id = request[self.id]
        record = request | self.computed(ctx, request)
        extra = await self.extra(ctx, record)
        try:
            await ctx.commit(Put(ctx.key(self.noun, id), record, expect=ABSENT), *extra)
        except Conflict:
            old = await self.find(ctx, id)
            same = old is not None and all(old.value.get(name) == request[name] for name in request)
            if self.exists is None and old is not None and same:
                return self._out(old.value)
            raise (self.exists or self.missing).error(id=id, ctx=ctx) from None
        return self._out(record)

    async def _read(self, ctx: Ctx, request: Wire) -> Wire:
        return self._out((await self.fetch(ctx, request)).value)

    async def _update(self, ctx: Ctx, request: Wire) -> Wire:
        old = await self.fetch(ctx, request)
        record = self.updated(ctx, old.value, request)
        await ctx.commit(Put(old.key, record, expect=old.version))
        return self._out(record)

    async def _delete(self, ctx: Ctx, request: Wire) -> Wire:
        old = await self.fetch(ctx, request)
        removed = await self.removed(ctx, old.value)
        await ctx.commit(Delete(old.key, expect=old.version), *removed)
        return {}

    def _lister(self, service: Service) -> Operation:
        async def list_(ctx: Ctx, request: Wire) -> Wire:
            token_in, token_out, limit_key, more = self.paging or _paginator(service, self.list)
            limit = min(request.get(limit_key) or self.list_max, self.list_max)
            starts = request.get(self.filter, "") if self.filter else ""
            rows, token = await filtered_page(
                ctx, ctx.key(self.noun), request.get(token_in), limit, starts
            )
            answer: Wire = {self.items: [row.value for row in rows]}
            if more:
                answer[more] = token is not None
            if token is not None:
                answer[token_out] = token
            return answer

        return list_


def _paginator(service: Service, operation: str) -> tuple[str, str, str, str]:
    names = service.model.paginators[operation]
    return (
        names["input_token"],
        names["output_token"],
        names["limit_key"],
        names.get("more_results", ""),
    )


async def filtered_page(
    ctx: Ctx, prefix: tuple[str, ...], token: str | None, limit: int, starts: str
) -> tuple[list[Record], str | None]:
    """A page of the records below `prefix` whose next key part starts with `starts`.

    Errors: AwsError (`InvalidParameterException`) for a token that was not issued for this list.
    """
    try:
        rows, following = await page(ctx.store, prefix, token=token, limit=limit, starts=starts)
    except BadTokenError:
        raise AwsError("InvalidParameterException", "The specified nextToken is invalid.") from None
    return rows, following
