"""Parts and blobs as records keep them."""

from hypothesis import given
from hypothesis import strategies as st

from lambent.services.s3 import content, parts
from lambent.store.protocol import Blob

BLOBS = st.lists(
    st.builds(Blob, st.binary(min_size=32, max_size=32).map(bytes.hex), st.integers(0, 2**40)),
    min_size=1,
    max_size=8,
)


@given(BLOBS, st.sampled_from([0, 4, 8, 32]))
def test_round_trip(blobs: list[Blob], digest_bytes: int) -> None:
    made = [
        parts.Part(number * 7 + 1, blob.size_bytes, bytes([number]) * digest_bytes)
        for number, blob in enumerate(blobs)
    ]
    packed = content.pack(blobs)
    assert content.unpack(packed) == blobs
    assert content.sizes(packed) == [blob.size_bytes for blob in blobs]
    assert parts.unpack({"_blobs": packed, "_parts": parts.pack(made)}) == made
