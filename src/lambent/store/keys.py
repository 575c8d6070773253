"""Keys as bytes whose order is the order of the tuples, so that a prefix scan is a range scan.

Each part is its UTF-8 bytes with 00 written as `00 FF`, then a `00`. FF never occurs in UTF-8, so a
00 that ends a part is never followed by one: the encoding is unambiguous, a shorter part sorts
before a longer one that it starts, and all keys under a prefix lie in [prefix, prefix + FF).
Prior art: the tuple layer of FoundationDB.
"""

from collections.abc import Sequence

from lambent.store.protocol import Key

KEY_BYTES_MAX = 8192
"""Longest encoded key; S3's key (1,024 bytes) and DynamoDB's (2,048 + 1,024) fit with room."""


def encode(key: Sequence[str]) -> bytes:
    """The bytes of `key`, to be stored; ValueError if it is too long or has a lone surrogate."""
    raw = sought(key)
    if len(raw) > KEY_BYTES_MAX:
        raise ValueError(f"a key of {len(raw)} bytes; at most {KEY_BYTES_MAX} are allowed")
    return raw


def sought(key: Sequence[str]) -> bytes:
    """The bytes of `key`, to look for: one that is too long is merely not there."""
    text = "\0".join(key)
    if text.count("\0") != len(key) - 1:
        return b"".join(part.encode().replace(b"\0", b"\0\xff") + b"\0" for part in key)
    return text.encode() + b"\0"


def decode(raw: bytes) -> Key:
    """The key of `raw`; ValueError if `raw` is no encoded key."""
    if raw[-1:] != b"\0":
        raise ValueError(f"not a key: {raw!r}")
    if b"\0\xff" not in raw:
        return tuple(raw[:-1].decode().split("\0"))
    parts = raw.replace(b"\0\xff", b"\xff").split(b"\0")
    return tuple(part.replace(b"\xff", b"\0").decode() for part in parts[:-1])


def span(prefix: Sequence[str]) -> tuple[bytes, bytes]:
    """The range [low, high) of all keys whose first parts are those of `prefix`."""
    low = sought(prefix) if prefix else b""
    return low, low + b"\xff"


def page(
    prefix: Sequence[str], after: Sequence[str] | None, *, reverse: bool, starts: str = ""
) -> tuple[bytes, bytes]:
    """The range [low, high) that is left of a scan of `prefix` once `after` has been seen.

    With `starts`, of the keys whose next part starts so.
    """
    low, high = span(prefix)
    if starts:
        low += starts.encode().replace(b"\0", b"\0\xff")
        high = low + b"\xff"
    if after is None:
        return low, high
    last = sought(after)
    if reverse:
        return low, min(high, last)
    # The next byte string after `last`; a key that continues it with an empty part is that one.
    return max(low, last + b"\0"), high
