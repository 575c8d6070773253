"""Walking keys in order, rolled up at a delimiter. The heart of every listing; no Ctx, no record.

Keys that share what precedes the first delimiter (after the prefix) become one common prefix. The
walk never reads them: from the first of them it seeks past the last, so a listing costs as many
seeks as it has entries, however many keys lie below. What was listed last, key or common prefix,
is where the next page starts: a start that lies within a common prefix passes all of it by, as on
AWS.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-prefixes.html
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from msgspec import Struct, field

from lambent.services.s3.limits import KEY_BYTES_MAX, SCAN_ROWS

T = TypeVar("T")

Seek = Callable[[str, int], Awaitable[Sequence[tuple[str, T]]]]
"""`seek(after, limit)`: up to `limit` (key, item) with the prefix in order, after key `after`."""

_HIGHEST = "\U0010ffff"


class Page(Struct, Generic[T]):
    """One page. `last` is the key or common prefix that it ends with."""

    items: list[tuple[str, T]] = field(default_factory=list)
    prefixes: list[str] = field(default_factory=list)
    last: str = ""
    truncated: bool = False

    @property
    def count(self) -> int:
        """Entries in it."""
        return len(self.items) + len(self.prefixes)


def common_prefix(key: str, prefix: str, delimiter: str, separator: str = "") -> str | None:
    """What `key` is rolled up to; None when it is listed itself."""
    if not delimiter or not key.startswith(prefix):
        return None
    stop = key.rfind(separator) if separator and separator in key else len(key)
    at = key.find(delimiter, len(prefix), stop)
    return None if at < 0 else key[: at + len(delimiter)]


def past(prefix: str) -> str:
    """A key after every key that starts with `prefix` and before every other later one.

    Keys have at most `KEY_BYTES_MAX` bytes, so none that starts with it can be as high.
    """
    room = KEY_BYTES_MAX - len(prefix.encode()) + 1
    return prefix + _HIGHEST * max(1, -(-room // 4))


async def walk(
    seek: "Seek[T]",
    *,
    prefix: str,
    delimiter: str,
    after: str,
    limit: int,
    separator: str = "",
) -> Page[T]:
    """The page of at most `limit` entries after `after` (a key, a common prefix, or empty).

    What follows the last `separator` of a key is not looked at for delimiters.
    """
    page: Page[T] = Page()
    if limit <= 0:
        return page
    start = common_prefix(after, prefix, delimiter, separator)
    position = past(start) if start is not None else after
    while True:
        wanted = min(SCAN_ROWS, limit - page.count + 1)
        rows = await seek(position, wanted)
        for key, item in rows:
            if page.prefixes and key.startswith(page.last) and page.last == page.prefixes[-1]:
                continue
            if page.count == limit:
                page.truncated = True
                return page
            rolled = common_prefix(key, prefix, delimiter, separator)
            if rolled is None:
                page.items.append((key, item))
            else:
                page.prefixes.append(rolled)
            page.last = rolled or key
        if len(rows) < wanted:
            return page
        position = rows[-1][0]
        if page.prefixes and position.startswith(page.last) and page.last == page.prefixes[-1]:
            position = past(page.last)
