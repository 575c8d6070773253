"""A body that is already here."""

import pytest

from lambent.net import BodyTooLarge, BytesBody, Response


async def test_bytes_body_is_read_whole_or_by_chunks() -> None:
    assert await BytesBody(b"abc").read(3) == b"abc"
    assert [chunk async for chunk in BytesBody(b"abc").chunks()] == [b"abc"]
    assert [chunk async for chunk in BytesBody().chunks()] == []
    assert (BytesBody(b"abc").length, BytesBody().trailers) == (3, {})


async def test_bytes_body_has_a_limit() -> None:
    with pytest.raises(BodyTooLarge):
        await BytesBody(b"abcd").read(3)


def test_responses_share_no_headers() -> None:
    one, other = Response(200), Response(200)
    one.headers.append(("a", "b"))
    assert other.headers == []
