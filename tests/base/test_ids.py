"""Ids are unique, well-formed, and reproducible from a seed."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from lambent.base.ids import RandomIds, is_uuid


def test_uuids_are_version_4_in_their_usual_form() -> None:
    ids = RandomIds()
    made = {ids.uuid() for _ in range(1000)}
    assert len(made) == 1000
    for text in made:
        parsed = uuid.UUID(text)
        assert (parsed.version, parsed.variant) == (4, uuid.RFC_4122)
        assert str(parsed) == text
        assert is_uuid(text)


@given(st.integers(0, 2**64))
def test_the_same_seed_gives_the_same_values(seed: int) -> None:
    def values(ids: RandomIds) -> list[object]:
        return [ids.uuid(), ids.hex(8), ids.text(20), ids.uniform()]

    assert values(RandomIds(seed)) == values(RandomIds(seed))


def test_two_unseeded_sources_differ() -> None:
    first, second = RandomIds(), RandomIds()
    assert first.uuid() != second.uuid()
    assert first.text(40) != second.text(40)


@given(st.integers(1, 64))
def test_hex_and_text_have_the_length_and_alphabet_asked_for(length: int) -> None:
    ids = RandomIds(length)
    assert len(ids.hex(length)) == length
    assert set(ids.hex(length)) <= set("0123456789abcdef")
    assert len(ids.text(length, "xy")) == length
    assert set(ids.text(length, "xy")) <= {"x", "y"}
    assert ids.text(length).isalnum()


def test_uniform_lies_in_the_unit_interval() -> None:
    ids = RandomIds(1)
    assert all(0 <= ids.uniform() < 1 for _ in range(1000))


def test_is_uuid() -> None:
    assert is_uuid("6f1c1d4e-7d2c-4b6f-9f55-0c7d0a6f9d3e")
    assert is_uuid("6F1C1D4E-7D2C-4B6F-9F55-0C7D0A6F9D3E")
    for text in (
        "",
        "x",
        "6f1c1d4e7d2c4b6f9f550c7d0a6f9d3e",
        "{6f1c1d4e-7d2c-4b6f-9f55-0c7d0a6f9d3e}",
    ):
        assert not is_uuid(text)
