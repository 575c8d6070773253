"""Lists: which members page them, and a page of the records that a request asks for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.kernel.context import Ctx, Wire
from lambent.kernel.paging import BadTokenError, encode_token, joined, page
from lambent.store.protocol import Key, Record, Store

if TYPE_CHECKING:
    from lambent.kernel.service import Service

LIST_MAX = 1000
"""Items in one page where neither the request nor the declaration says otherwise."""

_CHUNK = 500
"""Records read at once where some of them will not be shown."""


class Missing(Struct, frozen=True):
    """What AWS says when something is not there, or already is: code and a text with `{id}`.

    The text may name any member of the request, too: `{RoleName}`.
    """

    code: str
    text: str
    status: int | None = None

    def error(self, **names: Any) -> AwsError:
        """The error, its text filled in."""
        return AwsError(self.code, self.text.format(**names), status=self.status)


BAD_TOKEN = Missing("InvalidParameterException", "The specified nextToken is invalid.")


class Paging(Struct, frozen=True, kw_only=True):
    """How one list operation is paged."""

    input: str
    output: str
    limit: str
    more: str = ""
    """The output member that says whether there is more, if there is one."""

    @classmethod
    def of(cls, service: Service, operation: str) -> Paging:
        """As the model's paginators say; they are incomplete, so a declaration may say it too."""
        names = service.model.paginators()[operation]
        return cls(
            input=names["input_token"],
            output=names["output_token"],
            limit=names["limit_key"],
            more=names.get("more_results", ""),
        )

    def answer(self, items: str, values: list[Any], token: str | None) -> Wire:
        """The output of one page."""
        answer: Wire = {items: values}
        if self.more:
            answer[self.more] = token is not None
        if token is not None:
            answer[self.output] = token
        return answer


async def listed(
    ctx: Ctx,
    prefix: Key,
    request: Wire,
    paging: Paging,
    *,
    most: int,
    usual: int = 0,
    starts: str = "",
    keep: Callable[[Wire], bool] | None = None,
    bad_token: Missing = BAD_TOKEN,
) -> tuple[list[Record], str | None]:
    """The page of the records below `prefix` that `request` asks for, and the next page's token.

    At most `most` records, `usual` (or `most`) if the request does not say; with `starts`, only
    those whose next key part starts so; with `keep`, only those whose value it wants.
    Errors: `bad_token` for a token that was not issued for this list.
    """
    limit = min(request.get(paging.limit) or usual or most, most)
    try:
        return await select(
            ctx.store,
            prefix,
            token=request.get(paging.input),
            limit=limit,
            starts=starts,
            keep=keep,
        )
    except BadTokenError:
        raise bad_token.error(ctx=ctx, **request) from None


async def select(
    store: Store,
    prefix: Key,
    *,
    token: str | None,
    limit: int,
    starts: str = "",
    keep: Callable[[Wire], bool] | None = None,
) -> tuple[list[Record], str | None]:
    """A page of what `keep` wants below `prefix`. There is a token only if there is one more.

    O(records below `prefix`) when `keep` wants few of them. Errors: BadTokenError.
    """
    if keep is None:
        return await page(store, prefix, token=token, limit=limit, starts=starts)
    kept: list[Record] = []
    while True:
        rows, token = await page(store, prefix, token=token, limit=_CHUNK, starts=starts)
        for row in rows:
            if not keep(row.value):
                continue
            if len(kept) == limit:
                return kept, encode_token(prefix, joined(kept[-1].key[len(prefix) :]))
            kept.append(row)
        if token is None:
            return kept, None


async def filtered_page(
    ctx: Ctx, prefix: Key, token: str | None, limit: int, starts: str
) -> tuple[list[Record], str | None]:
    """A page of the records below `prefix` whose next key part starts with `starts`.

    Errors: AwsError (`InvalidParameterException`) for a token that was not issued for this list.
    """
    try:
        return await page(ctx.store, prefix, token=token, limit=limit, starts=starts)
    except BadTokenError:
        raise BAD_TOKEN.error() from None
