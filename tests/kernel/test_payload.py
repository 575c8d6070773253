"""A streamed body is held to the hash that was signed."""

import hashlib

import pytest

from lambent.base.errors import AwsError
from lambent.kernel.payload import SignedBody, as_signed
from lambent.net import BytesBody, Request
from lambent.net.message import Body


def _body(data: bytes, announced: str) -> Body:
    body = BytesBody(data)
    headers = {"x-amz-content-sha256": announced} if announced else {}
    return as_signed(Request("PUT", "/", "", headers, body), body)


async def _streamed(body: Body) -> bytes:
    return b"".join([chunk async for chunk in body.chunks()])


@pytest.mark.parametrize("data", [b"", b"x" * 100_000])
async def test_the_right_body_passes(data: bytes) -> None:
    sha256 = hashlib.sha256(data).hexdigest()
    for announced in (sha256, sha256.upper()):
        assert await _streamed(_body(data, announced)) == data
        assert await _body(data, announced).read(1_000_000) == data
    assert _body(data, sha256).length == len(data)
    assert _body(data, sha256).trailers == {}


async def test_another_body_fails_at_its_end() -> None:
    sha256 = hashlib.sha256(b"signed").hexdigest()
    for attempt in (_streamed(_body(b"forged", sha256)), _body(b"forged", sha256).read(100)):
        with pytest.raises(AwsError) as raised:
            await attempt
        assert (raised.value.code, raised.value.status) == ("XAmzContentSHA256Mismatch", 400)
        assert raised.value.fields["ClientComputedContentSHA256"] == sha256


@pytest.mark.parametrize(
    "announced", ["", "UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"]
)
async def test_what_is_not_signed_passes_as_it_is(announced: str) -> None:
    body = _body(b"x", announced)
    assert not isinstance(body, SignedBody)
    assert await _streamed(body) == b"x"
