"""One HTTP/1.1 connection: requests handled one at a time and answered in order.

A handler runs on when its client goes away, as AWS's operations do: only readers of a body
(BodyTruncated) and streams being sent (closed) notice. Each request runs in a task of its own, so
that time limits inside handlers work and context variables do not leak from one request to the
next. (What that costs: docs/adr/0003.)

Invariants: at most one request is being answered; while requests wait behind it, or the body that
arrives is over its bound, nothing is read from the socket; after `_ignoring` is set no byte of the
client reaches the parser.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import cast

from msgspec import Struct

from lambent.net.head import DateLine, Refused
from lambent.net.limits import HttpLimits
from lambent.net.message import BodyTooLarge, BodyTruncated, Request, Response
from lambent.net.parser import Exchange, RequestParser
from lambent.net.writer import ResponseWriter

_log = logging.getLogger("lambent.net")
_NEVER = float("inf")

Handler = Callable[[Request], Awaitable[Response]]


class Shared(Struct, eq=False):
    """What all connections of one server share."""

    handler: Handler
    limits: HttpLimits
    date_line: DateLine
    on_opened: Callable[["Connection"], None]
    on_ended: Callable[["Connection"], None]
    open_count: Callable[[], int]
    draining: bool = False


class Connection(asyncio.Protocol):
    """The protocol of one accepted socket."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._limits = shared.limits
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._parser: RequestParser
        self._writer: ResponseWriter
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._task: asyncio.Task[None] | None = None
        self._refusal = 0
        self._reading_paused = self._ignoring = self._half_closed = self._closing = False
        self._read_deadline_s = _NEVER

    # --- transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        # uvloop's transports have the methods of asyncio's, but not its base classes
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        limits = self._limits
        self._parser = RequestParser(self, limits, peer[0] if isinstance(peer, tuple) else "")
        self._writer = ResponseWriter(
            self._transport, self._shared.date_line, limits.write_stall_timeout_s
        )
        self._expect_within(limits.head_timeout_s)
        self._shared.on_opened(self)
        if self._shared.open_count() > limits.connections_max:
            self._refuse(503)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: the parser starts what they complete."""
        if self._ignoring:
            return
        parser = self._parser
        was_in_head = parser.in_head
        try:
            parser.feed(data)
        except Refused as refused:
            self._refuse(refused.status)
            return
        if parser.receiving is not None:
            self._expect_within(self._limits.body_idle_timeout_s)
            self.steer()
        elif not parser.in_head:
            self._read_deadline_s = _NEVER
        elif not was_in_head:
            self._expect_within(self._limits.head_timeout_s)
        if self._waiting:
            self.steer()

    def eof_received(self) -> bool:
        """The client sends no more. One that waits for its response still gets it."""
        self._half_closed = True
        self._stop_reading()
        return self._current is not None and not self._writer.streaming

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is gone. The handler runs on; a stream being sent is closed."""
        self._stop_reading()
        self._waiting.clear()
        self._writer.lose()
        if self._task is None:
            self._shared.on_ended(self)
        elif self._writer.streaming:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client is slower than we are."""
        self._writer.pause()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._writer.resume(watched=self._closing)

    # --- what parser and bodies ask for

    def on_request(self, exchange: Exchange) -> None:
        """A request starts, or waits for its turn."""
        if self._current is None:
            self._current = exchange
            self._task = self._loop.create_task(self._run())
        elif len(self._waiting) < self._limits.pipelined_max:
            self._waiting.append(exchange)
        else:
            raise Refused(400)

    def steer(self) -> None:
        """Pause or resume reading, by what waits and by the fill of the body that arrives."""
        body = self._parser.receiving
        pause = bool(self._waiting) or (body is not None and body.full)
        if pause == self._reading_paused or self._ignoring:
            return
        self._reading_paused = pause
        if pause:
            self._transport.pause_reading()
            self._read_deadline_s = _NEVER
            return
        self._transport.resume_reading()
        if body is not None:
            self._expect_within(self._limits.body_idle_timeout_s)
        elif self._parser.in_head:
            self._expect_within(self._limits.head_timeout_s)

    def send_continue(self) -> None:
        """Answer `Expect: 100-continue`."""
        self._writer.write_continue()
        self._expect_within(self._limits.body_idle_timeout_s)

    # --- what the server asks for

    def late(self, now_s: float) -> bool:
        """Whether a deadline has passed at `now_s`."""
        return self._read_deadline_s <= now_s or self._writer.deadline_s <= now_s

    def sweep(self, now_s: float) -> None:
        """Act on the deadlines that have passed."""
        if self._writer.deadline_s <= now_s and self._writer.stalled():
            self.abort()
        if self._read_deadline_s <= now_s:
            self._read_deadline_s = _NEVER
            self._fell_silent()

    def close_if_idle(self) -> None:
        """Close between requests; during one, it is the last."""
        if self._current is None and not self._closing:
            self._close()

    def abort(self) -> None:
        """Cut the connection now; unsent bytes are lost."""
        if not self._writer.lost:
            self._transport.abort()

    async def cancel(self) -> None:
        """Cut the connection, cancel its handler and wait for its end."""
        self.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- reading

    def _expect_within(self, timeout_s: float) -> None:
        """The client must send something within `timeout_s`; unless it is its turn to wait."""
        body = self._parser.receiving
        if body is not None and body.awaits_continue:
            timeout_s = _NEVER
        self._read_deadline_s = self._loop.time() + timeout_s

    def _stop_reading(self) -> None:
        """Let no more bytes reach the parser; a body that was arriving stays incomplete."""
        self._ignoring = True
        self._read_deadline_s = _NEVER
        body, self._parser.receiving = self._parser.receiving, None
        if body is not None:
            body.fail()

    def _refuse(self, status: int) -> None:
        """Answer `status` after what is being answered, and read no further request. A request
        whose body is thereby broken off answers for itself."""
        if self._parser.receiving is None:
            self._refusal = status
        self._stop_reading()
        if self._current is None:
            self._writer.write_refusal(status)
            self._linger()

    def _fell_silent(self) -> None:
        """The client has let the read deadline pass."""
        if self._closing:
            if self._transport.get_write_buffer_size():
                self._expect_within(self._limits.linger_timeout_s)
            else:
                self.abort()
        elif self._parser.receiving is not None or self._parser.in_head:
            self._refuse(408)
        else:
            self._close()

    # --- answering

    async def _run(self) -> None:
        """Answer the current request, and those that wait behind it on the way."""
        try:
            while (exchange := self._current) is not None:
                await self._answer(exchange)
                if self._writer.paused:
                    await self._writer.writable()
                if self._writer.lost:
                    return
                body = exchange.body
                if body is None or body.complete or await body.drain(self._drain_bytes_max):
                    self._next(exchange)
                else:
                    self._linger()
        finally:
            self._task = None
            if self._writer.lost:
                self._shared.on_ended(self)
            elif self._current is not None:
                self.abort()  # cancelled: by a stream's lost client, or from inside the handler

    async def _answer(self, exchange: Exchange) -> None:
        try:
            response = await self._shared.handler(exchange.request)
            if self._shared.draining or (exchange.body and not exchange.body.complete):
                self._settle_keep_alive(exchange)
            if isinstance(response.body, bytes):
                self._writer.write_whole(exchange, response, response.body)
            else:
                await self._writer.write_stream(exchange, response, response.body)
        except BodyTruncated:
            self._give_up(exchange, 408)
        except BodyTooLarge:
            self._give_up(exchange, 413)
        except Exception:  # noqa: BLE001 - the one place: a handler's bug must not end the server
            _log.exception("%s %s failed", exchange.request.method, exchange.request.path)
            self._give_up(exchange, 500)

    def _settle_keep_alive(self, exchange: Exchange) -> None:
        """Know before the response's head is written that the connection ends with it."""
        last = self._shared.draining and not self._waiting
        body = exchange.body
        if last or (body is not None and not body.drainable(self._drain_bytes_max)):
            exchange.keep_alive = False

    @property
    def _drain_bytes_max(self) -> int:
        return self._limits.body_drain_bytes_max

    def _give_up(self, exchange: Exchange, status: int) -> None:
        if exchange.head_sent:
            self.abort()  # so that the client sees a response cut short
        else:
            exchange.keep_alive = False
            self._writer.write_whole(exchange, Response(status), b"")

    def _next(self, exchange: Exchange) -> None:
        """After a response: the next request, or idleness, or the end."""
        self._current = None
        if not exchange.keep_alive:
            self._close()
        elif self._waiting:
            self._current = self._waiting.popleft()
            self.steer()
        elif self._refusal:
            self._writer.write_refusal(self._refusal)
            self._linger()
        elif self._half_closed or self._shared.draining:
            self._close()
        elif not self._parser.in_head:
            self._expect_within(self._limits.keepalive_timeout_s)

    # --- ending

    def _close(self) -> None:
        """Close once all that was written has left."""
        self._current = None
        self._waiting.clear()
        self._closing = True
        self._stop_reading()
        if not self._writer.lost:
            self._transport.close()
            self._writer.watch()

    def _linger(self) -> None:
        """Close after a response that left request bytes unread: closing at once would make the
        kernel answer those with a reset, which can overtake the response."""
        if self._half_closed or self._writer.lost:
            self._close()
            return
        self._current = None
        self._waiting.clear()
        self._closing = True
        self._stop_reading()
        if self._reading_paused:
            self._transport.resume_reading()
        self._transport.write_eof()
        self._writer.watch()
        self._read_deadline_s = self._loop.time() + self._limits.linger_timeout_s
