"""Decoded trees: what does not fit is refused in AWS's words, nulls vanish from structures."""

from typing import Any

import pytest

from lambent.wire import ServiceModel
from lambent.wire.cbor import CborReaders
from lambent.wire.json import JsonReaders, JsonWriters
from lambent.wire.values import Unparsable

MODEL = ServiceModel.from_dict(
    {
        "metadata": {"protocol": "json"},
        "operations": {},
        "shapes": {
            "S": {
                "type": "structure",
                "members": {
                    "i": {"shape": "I"},
                    "d": {"shape": "D"},
                    "l": {"shape": "L"},
                    "m": {"shape": "M"},
                    "b": {"shape": "B"},
                    "t": {"shape": "T"},
                    "s": {"shape": "S", "locationName": "self"},
                },
            },
            "I": {"type": "long"},
            "D": {"type": "double"},
            "L": {"type": "list", "member": {"shape": "I"}},
            "M": {"type": "map", "key": {"shape": "K"}, "value": {"shape": "D"}},
            "K": {"type": "string"},
            "B": {"type": "blob"},
            "T": {"type": "timestamp"},
        },
    }
)
MEMBERS = list(MODEL.shape("S").members.values())


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "Start of list found where not expected"),
        ({"i": {}}, "Start of structure or map found where not expected."),
        ({"i": "x"}, "STRING_VALUE can not be converted to a Long"),
        ({"i": 1.5}, "NUMBER_VALUE can not be converted to a Long"),
        ({"i": float("inf")}, "NUMBER_VALUE can not be converted to a Long"),
        ({"d": False}, "FALSE_VALUE can not be converted to a Double"),
        ({"d": 10**400}, "NUMBER_VALUE can not be converted to a Double"),
        ({"l": 1}, "Expected list or null"),
        ({"m": "x"}, "Expected map or null"),
        ({"b": 1}, "NUMBER_VALUE can not be converted to a Blob"),
        ({"t": True}, "TRUE_VALUE can not be converted to a Timestamp"),
        ({"t": 1e300}, "NUMBER_VALUE can not be converted to a Timestamp"),
        ({"self": 3}, "Expected structure or null"),
    ],
)
def test_refusals(value: Any, text: str) -> None:
    with pytest.raises(Unparsable) as caught:
        JsonReaders().structure(MEMBERS)(value)
    assert str(caught.value) == text


def test_cbor_maps_have_text_keys() -> None:
    with pytest.raises(Unparsable):
        CborReaders().structure(MEMBERS)({"m": {b"k": 1.0}})
    assert CborReaders(1000).structure(MEMBERS)({"t": 1500}) == {"t": 1.5}


def test_values_go_both_ways() -> None:
    value = {"i": 1, "d": 2.0, "l": [1, None], "m": {"k": None}, "b": b"x", "t": 5, "s": {"i": 2}}
    wire = JsonWriters().structure(MEMBERS)(value)
    assert wire["self"] == {"i": 2}
    assert JsonReaders().structure(MEMBERS)({**wire, "extra": 1}) == value
    assert JsonReaders().structure(MEMBERS)({"i": None, "d": "NaN"}).keys() == {"d"}
