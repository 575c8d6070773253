"""Keyset paging: every item once while others come and go; tokens cannot be made up."""

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.kernel.paging import BadTokenError, decode_token, encode_token, joined, page, parted
from lambent.store import open_store
from lambent.store.protocol import Delete, Key, Put
from tests.loops import run

PREFIX: Key = ("000000000000", "us-east-1", "fake", "Thing")
OTHERS: tuple[Key, ...] = ((*PREFIX[:3], "Thin"), (*PREFIX[:3], "Thing2"), (*PREFIX[:3],))

_part = st.text(st.characters(codec="utf-8"), max_size=6)
_keys = st.lists(
    st.lists(_part, min_size=1, max_size=2).map(tuple), min_size=1, max_size=25, unique=True
)


@settings(max_examples=60)
@given(_keys, _keys, st.integers(1, 7), st.data())
def test_every_item_exactly_once_while_others_come_and_go(
    staying: list[Key], coming: list[Key], limit: int, data: st.DataObject
) -> None:
    coming = [key for key in coming if key not in staying]

    async def scenario() -> None:
        store = await open_store(None)
        for other in OTHERS:
            await store.commit(Put((*other, "x"), {}))
        here = {key for key in coming if data.draw(st.booleans())}
        for key in [*staying, *here]:
            await store.commit(Put((*PREFIX, *key), {}))
        seen: list[Key] = []
        token: str | None = None
        while True:
            rows, token = await page(store, PREFIX, token=token, limit=limit)
            assert len(rows) <= limit
            seen += [row.key[len(PREFIX) :] for row in rows]
            if token is None:
                break
            for key in data.draw(st.lists(st.sampled_from(coming), max_size=3)) if coming else []:
                change = Delete if key in here else (lambda key: Put(key, {}))
                await store.commit(change((*PREFIX, *key)))
                here ^= {key}
        assert len(seen) == len(set(seen))
        assert set(staying) <= set(seen) <= {*staying, *coming}
        await store.close()

    run(scenario())


async def test_only_what_starts_with_a_text() -> None:
    store = await open_store(None)
    names = ["a", "ab", "abc", "abd", "b", "\u00e4b"]
    for name in names:
        await store.commit(Put((*PREFIX, name), {}))
    found, token = [], None
    while True:
        rows, token = await page(store, PREFIX, token=token, limit=2, starts="ab")
        found += [row.key[-1] for row in rows]
        if token is None:
            break
    assert found == ["ab", "abc", "abd"]
    await store.close()


async def test_no_token_on_the_last_page_even_when_it_is_full() -> None:
    store = await open_store(None)
    for number in range(4):
        await store.commit(Put((*PREFIX, str(number)), {}))
    _, token = await page(store, PREFIX, token=None, limit=2)
    rows, last = await page(store, PREFIX, token=token, limit=2)
    assert (len(rows), last) == (2, None)
    assert (await page(store, (*PREFIX, "nothing"), token=None, limit=2)) == ([], None)
    await store.close()


@given(_part)
def test_tokens_round_trip(last: str) -> None:
    assert decode_token(PREFIX, encode_token(PREFIX, last)) == last


@given(st.lists(_part | st.text("\0\1\2a"), min_size=1, max_size=4).map(tuple))
def test_keys_survive_being_joined_whatever_they_hold(parts: Key) -> None:
    assert parted(joined(parts)) == parts


@given(_part, st.integers(0, 1000), st.characters(codec="ascii"))
def test_a_token_with_one_character_changed_is_refused(last: str, at: int, by: str) -> None:
    token = encode_token(PREFIX, last)
    at %= len(token)
    changed = token[:at] + by + token[at + 1 :]
    if changed != token:
        with pytest.raises(BadTokenError):
            decode_token(PREFIX, changed)


@pytest.mark.parametrize("token", ["", "x", "AAAA", "AAAAAA==", "\u00e9", "====", "a" * 5])
def test_tokens_that_were_never_issued(token: str) -> None:
    with pytest.raises(BadTokenError):
        decode_token(PREFIX, token)


@given(st.binary(max_size=20))
def test_random_bytes_are_no_token(data: bytes) -> None:
    token = base64.urlsafe_b64encode(data).decode()
    with pytest.raises(BadTokenError):
        decode_token(PREFIX, token)


def test_a_token_is_bound_to_its_list() -> None:
    token = encode_token(PREFIX, "a")
    for other in OTHERS:
        with pytest.raises(BadTokenError):
            decode_token(other, token)


async def test_a_page_refuses_a_foreign_token() -> None:
    store = await open_store(None)
    with pytest.raises(BadTokenError):
        await page(store, PREFIX, token=encode_token(OTHERS[0], "a"), limit=1)
    await store.close()
