"""Tags on resources, by ARN: one store for all services, so that one service can search them all.

AWS spells tags as a map or as a list of pairs; the declaration says which. Tag records live under
(account, region, service, "Tags", arn) and hold `{"tags": {key: value}}`.
Source: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.kernel.context import Ctx, Wire
from lambent.kernel.traits.listing import Paging
from lambent.kernel.traits.retry import retried
from lambent.store.protocol import ABSENT, Change, Delete, Put, Record

if TYPE_CHECKING:
    from lambent.kernel.service import Operation, Service

NOUN = "Tags"
TAGS_MAX = 50

Resolve = Callable[[Ctx, Wire], Awaitable[str]]


def _anything(keys: list[str]) -> None:
    """No check."""


async def _nothing(ctx: Ctx, arn: str) -> tuple[Change, ...]:  # noqa: ARG001
    """Nothing else changes."""
    return ()


class Tagging(Struct, frozen=True, kw_only=True):
    """The tag operations of one service (or of one noun, where they are separate).

    `resolve` gives the ARN of the resource that a request names and refuses what is not there.
    """

    resolve: Resolve
    tag: str
    untag: str
    read: str
    tags: str = "Tags"
    """The member that carries tags, in and out."""
    keys: str = "TagKeys"
    pairs: bool = False
    """Tags are a list of {Key, Value}; else a map."""
    paging: Paging | None = None
    """Where the read operation is paged."""
    check: Callable[[list[str]], None] = _anything
    """Refuses keys to be set by raising: reserved ones, the same one twice."""
    touched: Callable[[Ctx, str], Awaitable[tuple[Change, ...]]] = _nothing
    """Changes that belong to a change of tags (a new revision of the resource); may refuse."""
    too_many: Callable[[], AwsError] = lambda: AwsError(
        "TooManyTagsException", "Number of tags exceeds resource tag limit."
    )

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:  # noqa: ARG002
        """The named operations."""
        yield self.tag, retried(self._tag)
        yield self.untag, retried(self._untag)
        yield self.read, self._read

    def accepted(self, tags: Any) -> dict[str, str]:
        """Tags of a request as a map. Errors: what `check` raises."""
        if not self.pairs:
            self.check(list(tags))
            return dict(tags)
        self.check([one["Key"] for one in tags])
        return {one["Key"]: one.get("Value", "") for one in tags}

    def as_wire(self, tags: dict[str, str]) -> Any:
        """Tags as this service spells them."""
        if self.pairs:
            return [{"Key": key, "Value": value} for key, value in tags.items()]
        return tags

    async def of(self, ctx: Ctx, arn: str) -> dict[str, str]:
        """The tags of a resource."""
        record = await ctx.get(NOUN, arn)
        return dict(record.value["tags"]) if record else {}

    def change(self, ctx: Ctx, arn: str, tags: dict[str, str], old: Record | None = None) -> Change:
        """The change that makes `tags` all the tags of a resource. Errors: `too_many`."""
        if len(tags) > TAGS_MAX:
            raise self.too_many()
        key = ctx.key(NOUN, arn)
        if not tags:
            return Delete(key, expect=old.version if old else None)
        return Put(key, {"tags": tags}, expect=old.version if old else None)

    async def _tag(self, ctx: Ctx, request: Wire) -> Wire:
        arn = await self.resolve(ctx, request)
        added = self.accepted(request[self.tags])
        old = await ctx.get(NOUN, arn)
        tags = old.value["tags"] | added if old else added
        change = self.change(ctx, arn, tags, old)
        if old is None and isinstance(change, Put):
            change = Put(change.key, change.value, expect=ABSENT)
        await ctx.commit(change, *await self.touched(ctx, arn))
        return {}

    async def _untag(self, ctx: Ctx, request: Wire) -> Wire:
        arn = await self.resolve(ctx, request)
        if old := await ctx.get(NOUN, arn):
            gone = set(request[self.keys])
            kept = {key: value for key, value in old.value["tags"].items() if key not in gone}
            change = self.change(ctx, arn, kept, old)
            await ctx.commit(change, *await self.touched(ctx, arn))
        return {}

    async def _read(self, ctx: Ctx, request: Wire) -> Wire:
        arn = await self.resolve(ctx, request)
        tags = await self.of(ctx, arn)
        if self.paging is None:
            return {self.tags: self.as_wire(tags)}
        names = list(tags)
        after = request.get(self.paging.input)
        # The token is the last key that was shown; one that is gone starts the list over.
        start = names.index(after) + 1 if after in tags else 0
        shown = names[start : start + (request.get(self.paging.limit) or TAGS_MAX)]
        token = shown[-1] if shown and shown[-1] != names[-1] else None
        wire = self.as_wire({name: tags[name] for name in shown})
        return self.paging.answer(self.tags, wire, token)
