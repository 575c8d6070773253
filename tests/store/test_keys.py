"""Encoded keys sort as the tuples do, and come back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.store import keys

PART = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(
    ["", "\0", "\0\0", "a\0", "\x01", "ÿ", "\U0010ffff", "a", "aa"]
)
KEY = st.lists(PART, max_size=4).map(tuple)


def utf8(key: tuple[str, ...]) -> tuple[bytes, ...]:
    return tuple(part.encode() for part in key)


@given(KEY)
def test_a_key_comes_back(key: tuple[str, ...]) -> None:
    if key:
        assert keys.decode(keys.encode(key)) == key


@given(KEY, KEY)
def test_bytes_order_is_tuple_order(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    assert (keys.encode(one) < keys.encode(other)) == (utf8(one) < utf8(other))
    assert (keys.encode(one) == keys.encode(other)) == (one == other)


@given(KEY, KEY)
def test_a_span_holds_exactly_the_keys_under_its_prefix(
    prefix: tuple[str, ...], key: tuple[str, ...]
) -> None:
    low, high = keys.span(prefix)
    assert (low <= keys.encode(key) < high) == (key[: len(prefix)] == prefix)


@given(KEY, KEY, KEY)
def test_a_page_starts_right_after_its_key(
    prefix: tuple[str, ...], after: tuple[str, ...], key: tuple[str, ...]
) -> None:
    under = key[: len(prefix)] == prefix
    for reverse in (False, True):
        low, high = keys.page(prefix, after, reverse=reverse)
        beyond = utf8(key) < utf8(after) if reverse else utf8(key) > utf8(after)
        assert (low <= keys.encode(key) < high) == (under and beyond)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(ValueError, match="at most 8192"):
        keys.encode(("x" * 9000,))
    with pytest.raises(ValueError, match="surrogates"):
        keys.encode(("\ud800",))
    for raw in (b"", b"a", b"\xfe\0"):
        with pytest.raises(ValueError):  # noqa: PT011 - two kinds of it
            keys.decode(raw)


@given(KEY, PART, KEY)
def test_a_page_of_parts_that_start_so(
    prefix: tuple[str, ...], starts: str, key: tuple[str, ...]
) -> None:
    low, high = keys.page(prefix, None, reverse=False, starts=starts)
    part = key[len(prefix) : len(prefix) + 1]
    under = key[: len(prefix)] == prefix and (
        not starts or (bool(part) and part[0].startswith(starts))
    )
    assert (low <= keys.encode(key) < high) == under
    for near in (starts, starts + "\0", starts + "x", starts[:-1]):
        whole = (*prefix, near, "z")
        assert (low <= keys.encode(whole) < high) == near.startswith(starts)
