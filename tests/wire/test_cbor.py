"""CBOR that is hostile, and tags."""

from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire.cbor import decode
from lambent.wire.values import Unparsable


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x81" * 100_000,
        b"\xd8\x1c\x81\xd8\x1d\x00",
        b"\xd8\x23\x63(a+",
        b"\xc2\x41\x01",
        b"\xd9\xff\xff\x01",
        b"\xa1\x80\x01",
        b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x61\xff",
    ],
)
def test_hostile_documents_are_refused(data: bytes) -> None:
    with pytest.raises(Unparsable):
        decode(data)


@given(st.binary(max_size=40))
def test_noise_is_refused_or_decoded(data: bytes) -> None:
    with suppress(Unparsable):
        decode(data)


def test_timestamps_are_their_numbers() -> None:
    assert decode(cbor2.dumps([cbor2.CBORTag(1, 5), cbor2.CBORTag(1, 1.5)])) == [5, 1.5]
