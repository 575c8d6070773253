"""Tags on resources, by ARN: one store for all services, so that one service can search them all.

AWS spells tags as a map or as a list of pairs; the declaration says which. Tag records live under
(account, region, service, "Tags", arn) and hold `{"tags": {key: value}}`.
Source: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lambent.base.errors import AwsError
from lambent.kernel.context import Ctx, Wire
from lambent.store.protocol import Change, Delete, Put

if TYPE_CHECKING:
    from lambent.kernel.service import Operation, Service

NOUN = "Tags"
TAGS_MAX = 50

Resolve = Callable[[Ctx, Wire], Awaitable[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tagging:
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
    too_many: Callable[[], AwsError] = lambda: AwsError(
        "TooManyTagsException", "Number of tags exceeds resource tag limit."
    )

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:  # noqa: ARG002
        """The named operations."""
        yield from ((self.tag, self._tag), (self.untag, self._untag), (self.read, self._read))

    def as_map(self, tags: Any) -> dict[str, str]:
        """Tags as a map, whichever way they came."""
        if not tags:
            return {}
        return {one["Key"]: one.get("Value", "") for one in tags} if self.pairs else dict(tags)

    def as_wire(self, tags: dict[str, str]) -> Any:
        """Tags as this service spells them."""
        if self.pairs:
            return [{"Key": key, "Value": value} for key, value in tags.items()]
        return tags

    async def of(self, ctx: Ctx, arn: str) -> dict[str, str]:
        """The tags of a resource."""
        record = await ctx.get(NOUN, arn)
        return dict(record.value["tags"]) if record else {}

    def change(self, ctx: Ctx, arn: str, tags: dict[str, str]) -> Change:
        """The change that makes `tags` all the tags of a resource. Errors: `too_many`."""
        if len(tags) > TAGS_MAX:
            raise self.too_many()
        key = ctx.key(NOUN, arn)
        return Put(key, {"tags": tags}) if tags else Delete(key)

    async def _tag(self, ctx: Ctx, request: Wire) -> Wire:
        arn = await self.resolve(ctx, request)
        tags = await self.of(ctx, arn) | self.as_map(request[self.tags])
        await ctx.commit(self.change(ctx, arn, tags))
        return {}

    async def _untag(self, ctx: Ctx, request: Wire) -> Wire:
        arn = await self.resolve(ctx, request)
        tags = await self.of(ctx, arn)
        kept = {key: value for key, value in tags.items() if key not in request[self.keys]}
        await ctx.commit(self.change(ctx, arn, kept))
        return {}

    async def _read(self, ctx: Ctx, request: Wire) -> Wire:
        arn = await self.resolve(ctx, request)
        return {self.tags: self.as_wire(await self.of(ctx, arn))}
