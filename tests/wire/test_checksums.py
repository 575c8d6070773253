"""Checksums against their published check values (of `123456789`) and botocore's own."""

from base64 import b64decode

import pytest

from lambent.wire.checksums import ALGORITHMS, checksum, encoded


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("CRC32", "cbf43926"),
        ("CRC32C", "e3069283"),
        ("CRC64NVME", "ae8b14860a799888"),
        ("MD5", "25f9e794323b453885f5181f1b624d0b"),
        ("SHA1", "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
    ],
)
def test_check_values(algorithm: str, digest: str) -> None:
    assert b64decode(encoded(b"123456789", algorithm)).hex() == digest


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_pieces_add_up(algorithm: str) -> None:
    running = checksum(algorithm)
    for piece in (b"1234", b"", b"56789"):
        running.update(piece)
    whole = checksum(algorithm)
    whole.update(b"123456789")
    assert running.digest() == whole.digest()


def test_unknown_algorithms() -> None:
    with pytest.raises(KeyError):
        checksum("XXHASH3")
