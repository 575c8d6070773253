"""A request body while it arrives: fed by the parser, read by the request's handler.

Invariants: bytes held are at most `body_buffer_bytes` plus one socket read, unless the reader asked
for the whole body, and then at most its limit plus one socket read; a body is read by one reader,
once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

from lambent.net.message import BodyTooLarge, BodyTruncated

_SMALL_BYTES = 512
_COALESCED_BYTES_MAX = 65_536


class Source(Protocol):
    """The connection, as the body sees it."""

    def steer(self) -> None:
        """Pause or resume reading, as the body's fill now demands."""

    def send_continue(self) -> None:
        """Tell a client that waits for it to send the body (`Expect: 100-continue`)."""


class IncomingBody:
    """The `net.message.Body` of a request on a connection."""

    __slots__ = (
        "_buffer_bytes",
        "_discarding",
        "_failed",
        "_held_bytes",
        "_parts",
        "_source",
        "_taken",
        "_waiter",
        "awaits_continue",
        "complete",
        "length",
        "received_bytes",
        "trailers",
    )

    def __init__(
        self, source: Source, length: int | None, buffer_bytes: int, awaits_continue: bool
    ) -> None:
        self.length = length
        self.trailers: dict[str, str] = {}
        self.complete = False
        self.awaits_continue = awaits_continue
        self.received_bytes = 0
        self._source = source
        self._buffer_bytes: float = buffer_bytes
        self._parts: deque[bytes | bytearray] = deque()
        self._held_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._taken = self._discarding = self._failed = False

    # --- the connection's side

    @property
    def full(self) -> bool:
        """Whether the connection should stop reading."""
        return self._held_bytes > self._buffer_bytes

    def feed(self, data: bytes) -> None:
        """Take bytes as they come. Small ones are joined: a chunked body of single bytes must not
        cost an object each."""
        size = len(data)
        self.received_bytes += size
        if not self._discarding:
            self._held_bytes += size
            parts = self._parts
            if size >= _SMALL_BYTES or not parts:
                parts.append(data)
            elif type(last := parts[-1]) is bytearray and len(last) < _COALESCED_BYTES_MAX:
                last += data
            else:
                parts.append(bytearray(data))
        if self._waiter is not None:
            self._wake()

    def finish(self) -> None:
        """All of it has come, trailers included."""
        self.complete = True
        if self._waiter is not None:
            self._wake()

    def fail(self) -> None:
        """No more will come: the reader gets BodyTruncated once it has used up what came."""
        if not self.complete:
            self._failed = True
            if self._waiter is not None:
                self._wake()

    def drainable(self, bytes_max: int) -> bool:
        """Whether reading away what is left unread is possible and costs at most `bytes_max`."""
        if self.complete:
            return True
        left_bytes = 0 if self.length is None else self.length - self.received_bytes
        return left_bytes <= bytes_max and not self.awaits_continue and not self._failed

    async def drain(self, bytes_max: int) -> bool:
        """Drop what the handler left unread; False if that is not worth it, or broke off."""
        if not self.drainable(bytes_max):
            return False
        self._discarding = True
        self._drop()
        until_bytes = self.received_bytes + bytes_max
        while not self.complete:
            if self._failed or self.received_bytes > until_bytes:
                return False
            await self._more()
        return True

    # --- the handler's side

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body; see `net.message.Body`."""
        self._take()
        if self.length is not None and self.length > limit_bytes:
            raise BodyTooLarge
        parts = self._parts
        if self.complete and len(parts) == 1 and self.received_bytes <= limit_bytes:
            return bytes(parts.pop())
        self._buffer_bytes = float("inf")  # the limit bounds it instead
        while self.received_bytes <= limit_bytes and not self.complete:
            if self._failed:
                raise BodyTruncated
            await self._more()
        if self.received_bytes > limit_bytes:
            self._buffer_bytes = 0
            self._drop()
            raise BodyTooLarge
        data = b"".join(parts)
        self._drop()
        return data

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives; see `net.message.Body`."""
        self._take()
        while True:
            while self._parts:
                part = self._parts.popleft()
                self._held_bytes -= len(part)
                self._source.steer()
                yield bytes(part)
            if self.complete:
                return
            if self._failed:
                raise BodyTruncated
            await self._more()

    def _take(self) -> None:
        assert not self._taken, "a body is read once"
        self._taken = True

    def _drop(self) -> None:
        self._parts.clear()
        self._held_bytes = 0

    async def _more(self) -> None:
        if self.awaits_continue:
            self.awaits_continue = False
            self._source.send_continue()
        self._waiter = asyncio.get_running_loop().create_future()
        self._source.steer()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        assert self._waiter is not None
        if not self._waiter.done():
            self._waiter.set_result(None)
