"""Keyset paging: a token names the last key that was shown, so no item is skipped or repeated
while others come and go. Prior art: dropshot's pagination.rs.

Tokens are opaque, bound to their list by a checksum, and need no state here.
"""

import base64
import binascii
import re
import zlib

from lambent.store.protocol import Key, Record, Store


class BadTokenError(ValueError):
    """The token was not issued for this list."""


def encode_token(prefix: Key, last: str) -> str:
    """A token for the page after item `last` of the list under `prefix`."""
    check = zlib.crc32("\0".join((*prefix, last)).encode("utf-8", "surrogatepass"))
    body = check.to_bytes(4, "big") + last.encode("utf-8", "surrogatepass")
    return base64.urlsafe_b64encode(body).decode()


def decode_token(prefix: Key, token: str) -> str:
    """The last item shown. Errors: BadTokenError."""
    try:
        body = base64.urlsafe_b64decode(token.encode("ascii"))
        last = body[4:].decode("utf-8", "surrogatepass")
    except (ValueError, binascii.Error) as error:
        raise BadTokenError(token) from error
    if len(body) < 4 or encode_token(prefix, last) != token:
        raise BadTokenError(token)
    return last


def joined(parts: Key) -> str:
    """The parts of a key as one text: NUL between them, and escaped inside."""
    return "\0".join(part.replace("\1", "\1\1").replace("\0", "\1\2") for part in parts)


def parted(text: str) -> Key:
    """What was `joined`."""
    return tuple(_ESCAPED.sub(_unescape, part) for part in text.split("\0"))


_ESCAPED = re.compile("\1([\1\2])")


def _unescape(found: re.Match[str]) -> str:
    return "\1" if found[1] == "\1" else "\0"


async def page(
    store: Store, prefix: Key, *, token: str | None, limit: int, starts: str = ""
) -> tuple[list[Record], str | None]:
    """Up to `limit` records under `prefix` and the token of the next page, if there is one.

    With `starts`, only records whose first key part below `prefix` starts so. The keys may have
    several parts below `prefix`; the token holds them `joined`. Errors: BadTokenError.
    """
    after = (*prefix, *parted(decode_token(prefix, token))) if token else None
    rows = await store.scan(prefix, after=after, limit=limit + 1, starts=starts)
    if len(rows) <= limit:
        return rows, None
    last = rows[limit - 1].key[len(prefix) :]
    return rows[:limit], encode_token(prefix, joined(last))
