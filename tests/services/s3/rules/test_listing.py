"""The walk against a brute-force listing; what it reads; keys that come and go meanwhile."""

import bisect
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from lambent.services.s3.rules.listing import Page, Seek, common_prefix, past, walk
from tests.loops import run

LETTERS = "ab/é\U0010ffff\u007f\ue000-"
KEYS = st.text(LETTERS, min_size=1, max_size=6)


def by_bytes(keys: Sequence[str]) -> list[str]:
    return sorted(keys, key=str.encode)


class Shelf:
    """Keys in order, as the store gives them, counting what is read."""

    def __init__(self, keys: Sequence[str]) -> None:
        self.keys = by_bytes(list(set(keys)))
        self.seeks = self.rows = 0

    def seek(self, prefix: str) -> Seek[int]:
        async def seek(after: str, limit: int) -> list[tuple[str, int]]:
            raw = [key.encode() for key in self.keys]
            at = bisect.bisect_right(raw, after.encode()) if after else 0
            found = [key for key in self.keys[at:] if key.startswith(prefix)][:limit]
            self.seeks += 1
            self.rows += len(found)
            return [(key, len(key)) for key in found]

        return seek


def listing(
    shelf: Shelf, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1000
) -> Page[int]:
    async def work() -> Page[int]:
        return await walk(
            shelf.seek(prefix), prefix=prefix, delimiter=delimiter, after=after, limit=limit
        )

    return run(work())


def brute(keys: Sequence[str], prefix: str, delimiter: str, after: str) -> list[str]:
    """Every entry in order, as a reader of the API's documentation would list it."""
    found: list[str] = []
    for key in by_bytes(list(set(keys))):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        rolled = common_prefix(key, prefix, delimiter)
        if rolled is not None and after.startswith(rolled):
            continue
        if (entry := rolled or key) not in found:
            found.append(entry)
    return found


def entries(page: Page[int]) -> list[str]:
    return by_bytes([key for key, _ in page.items] + page.prefixes)


@given(
    st.lists(KEYS, max_size=30),
    st.text(LETTERS, max_size=2),
    st.sampled_from(["", "/", "a", "ab", "é"]),
    st.one_of(st.just(""), KEYS),
    st.integers(1, 5),
)
def test_pages_together_are_the_brute_force_listing(
    keys: list[str], prefix: str, delimiter: str, after: str, limit: int
) -> None:
    shelf, found, position = Shelf(keys), [], after
    while True:
        page = listing(shelf, prefix, delimiter, position, limit)
        assert page.count <= limit
        found += entries(page)
        if not page.truncated:
            break
        assert page.count == limit
        assert page.last == entries(page)[-1]
        position = page.last
    assert found == brute(keys, prefix, delimiter, after)


@given(st.lists(KEYS, min_size=1, unique=True, max_size=20), st.data())
def test_each_key_once_while_others_come_and_go(keys: list[str], data: st.DataObject) -> None:
    staying, moving = keys[::2], keys[1::2]
    shelf, found, position = Shelf(keys), [], ""
    while True:
        page = listing(shelf, after=position, limit=2)
        found += entries(page)
        if not page.truncated:
            break
        position = page.last
        present = data.draw(st.lists(st.sampled_from(moving), unique=True)) if moving else []
        shelf.keys = by_bytes(staying + present)
    assert len(found) == len(set(found))
    assert set(staying) <= set(found)


@given(KEYS, KEYS)
def test_past_is_above_all_that_a_prefix_starts(prefix: str, other: str) -> None:
    assert past(prefix).encode() > (prefix + other).encode()
    if not other.startswith(prefix) and other.encode() > prefix.encode():
        assert past(prefix).encode() < other.encode()


def test_a_common_prefix_is_skipped_not_read() -> None:
    keys = [f"d{folder}/{n:06d}" for folder in range(3) for n in range(5000)]
    shelf = Shelf([*keys, "top"])
    page = listing(shelf, delimiter="/")
    assert page.prefixes == ["d0/", "d1/", "d2/"]
    assert [key for key, _ in page.items] == ["top"]
    assert shelf.seeks <= 5
    assert shelf.rows < 300


def test_nothing_is_read_for_an_empty_page() -> None:
    shelf = Shelf(["a"])
    page = listing(shelf, limit=0)
    assert (page.count, page.truncated, shelf.seeks) == (0, False, 0)


def test_what_follows_the_separator_is_no_part_of_the_name() -> None:
    assert common_prefix("key\0a/b", "", "/", "\0") is None
    assert common_prefix("k/y\0a/b", "", "/", "\0") == "k/"
