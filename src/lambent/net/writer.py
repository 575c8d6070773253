"""Responses onto a connection: whole or streamed, never faster than the client takes them.

Invariant: unsent bytes held are at most one response, or for a stream the transport's high-water
mark plus one chunk; whoever has more to write waits, and a client that takes nothing is cut off.
"""

import asyncio
from collections.abc import AsyncIterator

from lambent.net.head import BODILESS, DateLine, response_head
from lambent.net.message import Response
from lambent.net.parser import Exchange

_JOINED_BYTES_MAX = 65_536
_NEVER = float("inf")


class ResponseWriter:
    """The sending half of a connection."""

    def __init__(
        self, transport: asyncio.WriteTransport, date_line: DateLine, stall_timeout_s: float
    ) -> None:
        self._transport, self._date_line = transport, date_line
        self._stall_timeout_s = stall_timeout_s
        self._loop = asyncio.get_running_loop()
        self._writable: asyncio.Future[None] | None = None
        self._unsent_bytes = 0
        self.paused = self.lost = self.streaming = False
        self.deadline_s = _NEVER

    # --- flow

    def pause(self) -> None:
        """The client is slower than we are."""
        self.paused = True
        self.watch()

    def resume(self, watched: bool) -> None:
        """The client has caught up; stop watching it unless `watched`."""
        self.paused = False
        if not watched:
            self.deadline_s = _NEVER
        self._wake()

    def lose(self) -> None:
        """The client is gone."""
        self.lost = True
        self.deadline_s = _NEVER
        self._wake()

    def watch(self) -> None:
        """From now on the client must take something within the stall timeout."""
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self.deadline_s = self._loop.time() + self._stall_timeout_s

    def stalled(self) -> bool:
        """At the deadline: whether the client took nothing; if it did, watch on."""
        if self._transport.get_write_buffer_size() >= self._unsent_bytes:
            return True
        self.watch()
        return False

    async def writable(self) -> None:
        """Wait while the client is behind (or until it is gone)."""
        while self.paused and not self.lost:
            self._writable = self._loop.create_future()
            try:
                await self._writable
            finally:
                self._writable = None

    def _wake(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # --- messages

    def write_whole(self, exchange: Exchange, response: Response, data: bytes) -> None:
        """Send a response whose body is `data`. ValueError when it cannot be sent as it is."""
        if self.lost:
            return
        framing, bodiless = _framing(exchange, response, len(data))
        if bodiless:
            data = b""
        elif response.length is not None and response.length != len(data):
            raise ValueError(f"{len(data)} bytes were announced as {response.length}")
        head = response_head(response.status, response.headers, self._own(exchange, framing))
        exchange.head_sent = True
        if len(data) <= _JOINED_BYTES_MAX:
            self._transport.write(head + data)
        else:
            self._transport.writelines((head, data))

    async def write_stream(
        self, exchange: Exchange, response: Response, stream: AsyncIterator[bytes]
    ) -> None:
        """Send a response as `stream` brings it, and close the stream however this ends.

        ValueError when it is longer or shorter than announced, and what the stream raises: the
        connection must then be cut, so that the client can tell.
        """
        self.streaming = True
        try:
            if not self.lost:
                await self._pump(exchange, response, stream)
        finally:
            self.streaming = False
            aclose = getattr(stream, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _pump(
        self, exchange: Exchange, response: Response, stream: AsyncIterator[bytes]
    ) -> None:
        write, left = self._transport.write, response.length
        chunked = left is None and exchange.http11
        if left is None and not exchange.http11:
            exchange.keep_alive = False  # in HTTP/1.0 the end of the connection ends the body
        framing, bodiless = _framing(exchange, response, left)
        head = response_head(response.status, response.headers, self._own(exchange, framing))
        exchange.head_sent = True
        write(head)
        if bodiless:
            return
        async for data in stream:
            if left is not None:
                left -= len(data)
                if left < 0:
                    raise ValueError("a stream is longer than announced")
            if not chunked:
                write(data)
            elif data:
                self._transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
            if self.paused:
                await self.writable()
        if left:
            raise ValueError(f"a stream is {left} bytes shorter than announced")
        if chunked:
            write(b"0\r\n\r\n")

    def write_refusal(self, status: int) -> None:
        """Send an empty `status` outside of any request."""
        own_lines = f"Content-Length: 0\r\n{self._date_line()}Connection: close\r\n"
        self._transport.write(response_head(status, (), own_lines))

    def write_continue(self) -> None:
        """Ask a client for the body that it holds back."""
        if not self.lost:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _own(self, exchange: Exchange, framing: str) -> str:
        if exchange.keep_alive and exchange.http11:
            return framing + self._date_line()
        word = "keep-alive" if exchange.keep_alive else "close"
        return f"{framing}{self._date_line()}Connection: {word}\r\n"


def _framing(exchange: Exchange, response: Response, length: int | None) -> tuple[str, bool]:
    """The header line that frames the body, and whether the body itself stays unsent."""
    if response.status in BODILESS:
        return "", True
    head_only = exchange.request.method == "HEAD"
    if head_only and response.length is not None:
        length = response.length
    if length is not None:
        return f"Content-Length: {length}\r\n", head_only
    return ("Transfer-Encoding: chunked\r\n" if exchange.http11 else ""), head_only
