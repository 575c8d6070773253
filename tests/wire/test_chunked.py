"""aws-chunked bodies from botocore's own encoder, however they are cut, and damaged ones."""

import io
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest
from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum
from hypothesis import given
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.net import BodyTooLarge, BytesBody, Request
from lambent.wire.checksums import encoded
from lambent.wire.chunked import ChunkedBody, ChunkKey, is_chunked
from lambent.wire.sigv4 import EMPTY_SHA256, signing_key
from tests.loops import run


class CutBody:
    """A body that arrives in pieces of the given size."""

    def __init__(self, data: bytes, piece: int) -> None:
        self.data, self.piece = data, piece
        self.length: int | None = len(data)

    async def read(self, limit_bytes: int) -> bytes:
        return self.data

    async def chunks(self) -> AsyncIterator[bytes]:
        for at in range(0, len(self.data), self.piece):
            yield self.data[at : at + self.piece]


def by_botocore(data: bytes, chunk: int) -> bytes:
    wrapper = AwsChunkedWrapper(
        io.BytesIO(data),
        checksum_cls=Crc32Checksum,
        checksum_name="x-amz-checksum-crc32",
        chunk_size=chunk,
    )
    return bytes(wrapper.read())


KEY = ChunkKey(
    signing_key("secret", "20130524", "us-east-1", "s3"),
    "20130524T000000Z",
    "20130524/us-east-1/s3/aws4_request",
    "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9",
)


def signed(data: bytes, size: int, *, trailer: str = "") -> bytes:
    """The data in signed chunks, as the documentation describes them."""
    out, previous = b"", KEY.seed
    pieces = [data[at : at + size] for at in range(0, len(data), size)] + [b""]
    for piece in pieces:
        previous = KEY.sign("PAYLOAD", previous, EMPTY_SHA256, sha256(piece).hexdigest())
        out += f"{len(piece):x};chunk-signature={previous}\r\n".encode()
        out += piece + b"\r\n" if piece else b""
    if trailer:
        digest = sha256(f"{trailer}\n".encode()).hexdigest()
        last = KEY.sign("TRAILER", previous, digest)
        out += f"{trailer}\r\nx-amz-trailer-signature:{last}\r\n".encode()
    return out + b"\r\n"


@given(st.binary(max_size=300), st.integers(1, 64), st.integers(1, 50))
def test_botocore_s_chunks_are_read_however_cut(data: bytes, chunk: int, piece: int) -> None:
    body = ChunkedBody(CutBody(by_botocore(data, chunk), piece), len(data))
    assert run(body.read(1000)) == data
    assert body.trailers == {"x-amz-checksum-crc32": encoded(data, "CRC32")}


@given(st.binary(max_size=200), st.integers(1, 64), st.integers(1, 50))
def test_signed_chunks_are_read_however_cut(data: bytes, chunk: int, piece: int) -> None:
    trailer = f"x-amz-checksum-sha1:{b64encode(b'x').decode()}"
    body = ChunkedBody(CutBody(signed(data, chunk, trailer=trailer), piece), len(data), KEY)
    assert run(body.read(1000)) == data
    assert list(body.trailers) == ["x-amz-checksum-sha1"]


def test_the_documented_example() -> None:
    # https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
    key = ChunkKey(
        signing_key("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "20130524", "us-east-1", "s3"),
        KEY.timestamp,
        KEY.scope,
        KEY.seed,
    )
    digest = sha256(b"a" * 65536).hexdigest()
    assert key.sign("PAYLOAD", key.seed, EMPTY_SHA256, digest) == (
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
    )


@given(st.integers(0, 10_000), st.binary(max_size=40))
def test_damaged_bodies_raise_only_aws_errors(at: int, noise: bytes) -> None:
    whole = signed(b"0123456789" * 5, 20)
    cut = at % len(whole)
    statuses: set[int | None] = set()
    for data in (whole[:cut], whole[:cut] + noise + whole[cut:], noise):
        try:
            run(ChunkedBody(CutBody(data, 7), 50, KEY).read(1000))
        except AwsError as error:
            statuses.add(error.status)
    assert statuses <= {400, 403}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "IncompleteBody"),
        (b"zz\r\n", "InvalidRequest"),
        (b"5\r\nabcde", "IncompleteBody"),
        (b"5\r\nabcdeX\r\n0\r\n\r\n", "InvalidRequest"),
        (b"5\r\nabcde\r\n0\r\n\r\n", "IncompleteBody"),
        (b"a\r\n0123456789\r\n", "IncompleteBody"),
        (b"f" * 5000, "InvalidRequest"),
        (b"ffffffffffff\r\n", "InvalidChunkSizeError"),
        (b"6\r\nabcdef\r\n0\r\nnonsense\r\n\r\n", "MalformedTrailerError"),
        (b"6\r\nabcdef\r\n0\r\n" + b"a:b\r\n" * 40, "MalformedTrailerError"),
    ],
)
def test_malformed_bodies(data: bytes, code: str) -> None:
    with pytest.raises(AwsError) as caught:
        run(ChunkedBody(BytesBody(data), 6).read(100))
    assert caught.value.code == code


def test_a_moved_chunk_fails() -> None:
    data = signed(b"a" * 20 + b"b" * 20, 20)
    size = len(data.split(b"\r\n")[0]) + 2 + 22
    moved = data[size : 2 * size] + data[:size] + data[2 * size :]
    with pytest.raises(AwsError, match="does not match"):
        run(ChunkedBody(BytesBody(moved), 40, KEY).read(100))


def test_limits_hold() -> None:
    body = by_botocore(b"x" * 50, 10)
    with pytest.raises(BodyTooLarge):
        run(ChunkedBody(BytesBody(body), 50).read(49))
    with pytest.raises(BodyTooLarge):
        run(ChunkedBody(BytesBody(body), None).read(49))


def test_headers_tell_how_a_body_is_chunked() -> None:
    headers = {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": "3",
    }
    request = Request("PUT", "/", "", headers, BytesBody(b"3\r\nabc\r\n0\r\n\r\n"))
    assert is_chunked(request)
    body = ChunkedBody.of(request, request.body, KEY)
    assert body.length == 3
    assert run(body.read(9)) == b"abc"
    assert not is_chunked(Request("PUT", "/", "", {}, BytesBody()))
    headers["x-amz-decoded-content-length"] = "x"
    with pytest.raises(AwsError):
        ChunkedBody.of(request, request.body)
