"""The record cache: bounded in number and bytes, least recently used out first."""

from lambent.store.cache import Cache
from lambent.store.protocol import Key, Record
from lambent.store.rows import decode_record, encode_value


def make(records_max: int = 3, bytes_max: int = 10_000) -> Cache:
    return Cache(
        lambda key, version, raw: decode_record("x", key, version, raw),
        records_max=records_max,
        bytes_max=bytes_max,
    )


def put(cache: Cache, key: Key, version: int = 1, text: str = "") -> None:
    cache.put(key, version, encode_value({"t": text}))


def test_a_record_is_decoded_once() -> None:
    cache = make()
    put(cache, ("a",), 7, "x")
    record = cache.get(("a",))
    assert record == Record(("a",), 7, {"t": "x"})
    assert cache.get(("a",)) is record
    assert cache.get(("b",)) is None


def test_the_least_recently_used_goes_first() -> None:
    cache = make()
    for name in "abc":
        put(cache, (name,))
    assert cache.get(("a",))
    put(cache, ("d",))
    assert [name for name in "abcd" if cache.get((name,))] == ["a", "c", "d"]


def test_bytes_are_bounded_and_counted() -> None:
    cache = make(records_max=1000, bytes_max=2000)
    for number in range(100):
        put(cache, (str(number % 50),), number + 1, "x" * (number % 90))
    assert cache.size_bytes <= 2000
    put(cache, ("huge",), 1, "x" * 500)
    assert cache.get(("huge",)) is None
    for number in range(50):
        cache.drop((str(number),))
    assert (len(cache), cache.size_bytes) == (0, 0)
    put(cache, ("a",))
    cache.clear()
    assert (len(cache), cache.size_bytes) == (0, 0)
