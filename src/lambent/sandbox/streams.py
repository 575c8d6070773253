"""Streamed answers: bytes on their way from a runtime to whoever reads them, with back-pressure.

A `Stream` is fed by one conversation and read by one reader. The conversation stops taking bytes
from the runtime while the stream is `full`, so a slow reader slows the function down and costs no
more than `BYTES_MAX` and what was received at once. What went wrong in the middle comes after the
bytes that came before it: StreamBroken when the runtime or the protocol said so, BoxGone when the
process ended.
Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-custom.html#runtimes-custom-response-streaming
"""

import asyncio
import json
from collections import deque
from collections.abc import Callable

from lambent.sandbox.box import Answer
from lambent.sandbox.channel import PAYLOAD_BYTES_MAX

BYTES_MAX = 262_144
"""Unread bytes above which no more are taken from the runtime."""

TOO_LARGE_TEXT = (
    f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes)."
)


class StreamBroken(Exception):  # noqa: N818 - how a stream ended, not a mistake
    """The answer ended with an error after it had begun; `payload` is the error object."""

    def __init__(self, error_type: str, payload: bytes) -> None:
        super().__init__(error_type)
        self.error_type, self.payload = error_type, payload


class Stream:
    """The bytes of one answer, as they arrive: an async iterator.

    `on_room` is called when a full stream has been read down to its bound again.
    Invariant: it ends once; what is fed after its end is dropped.
    """

    def __init__(self, on_room: Callable[[], None] = lambda: None) -> None:
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the runtime has sent all, or failed; the reader may still have to read it."""
        self._on_room = on_room
        self._parts: deque[bytes] = deque()
        self._held_bytes = 0
        self.error: Exception | None = None
        """What it ended with, if not well."""
        self.fed_bytes = 0
        """All that has come so far."""
        self._arrived: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._abandoned = False

    # ---- the conversation's side ----

    @property
    def full(self) -> bool:
        """Whether the runtime should wait."""
        return self._held_bytes > BYTES_MAX

    def feed(self, data: bytes) -> None:
        """Some bytes of the answer."""
        if data and not self._abandoned and not self.ended.done():
            self._parts.append(data)
            self._held_bytes += len(data)
            self.fed_bytes += len(data)
            _wake(self._arrived)

    async def room(self) -> None:
        """Wait until the stream is not full any more."""
        while self.full:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def finish(self) -> None:
        """That was all."""
        _wake(self.ended)
        _wake(self._arrived)

    def fail(self, error: Exception) -> None:
        """The answer broke off: StreamBroken or BoxGone. The first end counts."""
        if not self.ended.done():
            self.error = error
            self.finish()

    # ---- the reader's side ----

    def __aiter__(self) -> "Stream":
        """It is its own iterator."""
        return self

    async def __anext__(self) -> bytes:
        """The next bytes. Errors: StreamBroken, BoxGone."""
        while not self._parts:
            if self.ended.done():
                if self.error is not None:
                    raise self.error
                raise StopAsyncIteration
            self._arrived = asyncio.get_running_loop().create_future()
            await self._arrived
        data = self._parts.popleft()
        was_full = self.full
        self._held_bytes -= len(data)
        if was_full and not self.full:
            self._has_room()
        return data

    def abandon(self) -> None:
        """Nobody reads any more: the function goes on, what it sends is dropped."""
        self._abandoned = True
        self._parts.clear()
        self._held_bytes = 0
        self._has_room()

    def _has_room(self) -> None:
        _wake(self._room)
        self._on_room()


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def too_large() -> Answer:
    """What the caller gets when a response is over the limit."""
    error_type = "Function.ResponseSizeTooLarge"
    return Answer(payload=error_object(error_type, TOO_LARGE_TEXT), error_type=error_type)


def error_object(error_type: str, text: str) -> bytes:
    """`{"errorMessage", "errorType"}`."""
    return json.dumps(
        {"errorMessage": text, "errorType": error_type}, separators=(",", ":")
    ).encode()


async def collected(answer: Answer) -> Answer:
    """An answer as a buffered Invoke gets it: a stream is read to its end, up to 6 MiB and 100.

    Errors: BoxGone.
    """
    if answer.stream is None:
        return answer
    parts: list[bytes] = []
    size = 0
    try:
        async for data in answer.stream:
            size += len(data)
            if size > PAYLOAD_BYTES_MAX:
                parts.clear()  # the function still runs to its end
            else:
                parts.append(data)
    except StreamBroken as broken:
        return Answer(payload=broken.payload, error_type=broken.error_type)
    if size > PAYLOAD_BYTES_MAX:
        return too_large()
    return Answer(payload=b"".join(parts), content_type=answer.content_type)
