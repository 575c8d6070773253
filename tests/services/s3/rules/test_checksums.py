"""Checksums against reference values, and those of wholes against those of parts."""

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.services.s3.rules import checksums

CHECK = b"123456789"
KNOWN = {
    "CRC32": "cbf43926",
    "CRC32C": "e3069283",
    "CRC64NVME": "ae8b14860a799888",
    "MD5": "25f9e794323b453885f5181f1b624d0b",
    "SHA1": "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    "SHA256": "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    "XXHASH64": "8cb841db40e6ae83",
}


@pytest.mark.parametrize("algorithm", checksums.ALGORITHMS)
def test_streaming_equals_one_go(algorithm: str) -> None:
    one, many = checksums.hasher(algorithm), checksums.hasher(algorithm)
    one.update(CHECK)
    for byte in CHECK:
        many.update(bytes([byte]))
    digest = one.digest()
    assert digest == many.digest()
    assert checksums.well_formed(algorithm, checksums.encode(digest))
    if algorithm in KNOWN:
        assert digest.hex() == KNOWN[algorithm]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
@given(parts=st.lists(st.binary(max_size=50), max_size=5))
def test_the_crc_of_a_whole_follows_from_its_parts(algorithm: str, parts: list[bytes]) -> None:
    digests = []
    for part in parts:
        hasher = checksums.hasher(algorithm)
        hasher.update(part)
        digests.append((hasher.digest(), len(part)))
    whole = checksums.hasher(algorithm)
    whole.update(b"".join(parts))
    assert checksums.combined(algorithm, digests) == checksums.encode(whole.digest())


def test_composite_counts_parts() -> None:
    hasher = checksums.hasher("SHA256")
    hasher.update(b"onetwo")
    expected = checksums.encode(hasher.digest()) + "-2"
    assert checksums.composite("SHA256", [b"one", b"two"]) == expected


def test_claims() -> None:
    crc = b64encode(b"abcd").decode()
    assert checksums.claimed({}) is None
    assert checksums.claimed({"ChecksumCRC32": crc}) == ("CRC32", crc)
    assert checksums.claimed({"ChecksumAlgorithm": "crc32"}) == ("CRC32", None)
    for request, text in (
        ({"ChecksumCRC32": crc, "ChecksumCRC32C": crc}, "single x-amz-checksum"),
        ({"ChecksumCRC32": "***"}, "Value for x-amz-checksum-crc32 header is invalid"),
        ({"ChecksumSHA1": crc}, "Value for x-amz-checksum-sha1 header is invalid"),
        ({"ChecksumAlgorithm": "ADLER"}, "algorithm"),
    ):
        with pytest.raises(AwsError, match=text):
            checksums.claimed(request)


def test_md5_headers() -> None:
    good = b64encode(bytes(16)).decode()
    assert checksums.parse_md5(good) == good
    checksums.check_md5(good, bytes(16))
    with pytest.raises(AwsError) as error:
        checksums.parse_md5("nonsense")
    assert error.value.code == "InvalidDigest"
    with pytest.raises(AwsError) as error:
        checksums.check_md5(good, b"1" * 16)
    assert error.value.code == "BadDigest"


@pytest.mark.parametrize(
    ("algorithm", "kind", "expected"),
    [
        (None, None, None),
        ("CRC32", None, ("CRC32", "COMPOSITE")),
        ("CRC64NVME", None, ("CRC64NVME", "FULL_OBJECT")),
        ("SHA256", None, ("SHA256", "COMPOSITE")),
        ("crc32c", "FULL_OBJECT", ("CRC32C", "FULL_OBJECT")),
    ],
)
def test_kinds_of_uploads(
    algorithm: str | None, kind: str | None, expected: tuple[str, str] | None
) -> None:
    assert checksums.upload_kind(algorithm, kind) == expected


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        (None, "COMPOSITE"),
        ("CRC64NVME", "COMPOSITE"),
        ("SHA1", "FULL_OBJECT"),
        ("SHA256", "FULL_OBJECT"),
        ("XXHASH64", "FULL_OBJECT"),
        ("NONE", None),
        ("CRC32", "PARTIAL"),
    ],
)
def test_kinds_that_do_not_fit(algorithm: str | None, kind: str | None) -> None:
    with pytest.raises(AwsError) as error:
        checksums.upload_kind(algorithm, kind)
    assert error.value.code == "InvalidRequest"
