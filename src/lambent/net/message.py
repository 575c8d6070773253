"""Requests and responses, as the rest of the house sees them."""

from collections.abc import AsyncIterator
from typing import Protocol

from msgspec import Struct, field


class BodyTooLarge(Exception):  # noqa: N818 - AWS says EntityTooLarge
    """The body is longer than the reader allowed."""


class BodyTruncated(Exception):  # noqa: N818 - as above
    """The peer went away, or fell silent, before the body was complete."""


class Body(Protocol):
    """A request body that may still be arriving. It is read once: whole, or by chunks."""

    length: int | None
    """Bytes announced by Content-Length; None for chunked transfer."""
    trailers: dict[str, str]
    """Fields after a chunked body, by lower-case name; complete once the body has been read."""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; BodyTooLarge beyond the limit, BodyTruncated when it breaks off.

        Does not suspend when the body has already arrived.
        """

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, with back-pressure; BodyTruncated when it breaks off."""


class BytesBody:
    """A body that is already here (tests, in-process calls, requests without one)."""

    __slots__ = ("_data", "length", "trailers")

    def __init__(self, data: bytes = b"") -> None:
        self._data = data
        self.length: int | None = len(data)
        self.trailers: dict[str, str] = {}

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body."""
        if len(self._data) > limit_bytes:
            raise BodyTooLarge
        return self._data

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body in one chunk (none when empty)."""
        if self._data:
            yield self._data


class Request(Struct):
    """One HTTP request.

    `path` and `query` are as they came, still percent-encoded, without the `?`. `headers` maps
    lower-case names to values decoded as latin-1; repeated headers are joined with `,`.
    `peer` is the client's IP address, empty for a unix socket.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: Body
    peer: str = ""


class Response(Struct):
    """One HTTP response.

    `headers` keep their case and order and may repeat. `body` is bytes, or an iterator that is
    streamed: with Content-Length when `length` says how much, chunked otherwise. An answer to HEAD
    says by `length` what a GET would carry.
    Content-Length, Transfer-Encoding, Date and Connection are the server's own: they are added by
    it, and dropped from `headers`.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | AsyncIterator[bytes] = b""
    length: int | None = None
