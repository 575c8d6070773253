"""One HTTP/1.1 connection: bytes in, requests handled one at a time and in order, bytes out.

The parser (llhttp, in its strict mode) does the hygiene against request smuggling; what it lets
through and we do not is refused in `head.py`. A handler runs on when its client goes away, as AWS's
operations do: only readers of a body (BodyTruncated) and streams being sent (closed) notice.

Invariants: at most one request is being answered; responses leave in the order of their requests;
while requests wait behind it, or an unread body is over its bound, nothing is read from the socket.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

from lambent.net.body import IncomingBody
from lambent.net.head import (
    BODILESS,
    METHODS,
    DateLine,
    Refused,
    body_length,
    response_head,
    target,
)
from lambent.net.limits import HttpLimits
from lambent.net.message import BodyTooLarge, BodyTruncated, BytesBody, Request, Response

_log = logging.getLogger("lambent.net")
_NEVER = float("inf")
_JOINED_BYTES_MAX = 65_536

Handler = Callable[[Request], Awaitable[Response]]


@dataclass(slots=True, eq=False)
class Shared:
    """What all connections of one server share."""

    handler: Handler
    limits: HttpLimits
    date_line: DateLine
    loop: asyncio.AbstractEventLoop
    connections: "set[Connection]" = field(default_factory=set)
    draining: bool = False
    on_opened: Callable[[], None] = lambda: None
    on_ended: Callable[[], None] = lambda: None


class Exchange:
    """One request on its way to its response."""

    __slots__ = ("body", "head_sent", "http11", "keep_alive", "request")

    def __init__(
        self, request: Request, body: IncomingBody | None, keep_alive: bool, http11: bool
    ) -> None:
        self.request = request
        self.body = body
        self.keep_alive = keep_alive
        self.http11 = http11
        self.head_sent = False


class Connection(asyncio.Protocol):
    """The protocol of one accepted socket."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._limits = shared.limits
        self._loop = shared.loop
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport
        self._peer = ""
        # the head being read
        self._url = b""
        self._headers: dict[str, str] = {}
        self._head_bytes = self._header_lines = 0
        self._upgrading = False
        # the requests
        self._receiving: IncomingBody | None = None
        self._current: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._task: asyncio.Task[None] | None = None
        # the socket
        self._refusal = 0
        self._ignoring = self._ended = self._lost = self._streaming = self._closing = False
        self._read_paused = self._write_paused = False
        self._writable: asyncio.Future[None] | None = None
        self._unsent_bytes = 0
        self.read_deadline_s = self.write_deadline_s = _NEVER

    # --- transport callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        # uvloop's transports have asyncio's methods but not its base classes
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else ""
        connections = self._shared.connections
        connections.add(self)
        self._shared.on_opened()
        self.read_deadline_s = self._loop.time() + self._limits.head_timeout_s
        if len(connections) > self._limits.connections_max:
            self._refuse(503)

    def data_received(self, data: bytes) -> None:
        """Bytes have come: parse them; callbacks start what they complete."""
        if self._ignoring:
            return
        in_head = self._receiving is None and bool(self._url)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, Refused) else 400)
            return
        if self._receiving is None and self._url:
            # The parser hands over whole headers only; an endless one must be counted here.
            if in_head and (unparsed := self._head_bytes + len(data)) and self._over(unparsed):
                self._refuse(431)
                return
            if not in_head:
                self.read_deadline_s = self._loop.time() + self._limits.head_timeout_s
        elif self._receiving is not None:
            self.read_deadline_s = self._loop.time() + self._limits.body_idle_timeout_s
        else:
            self.read_deadline_s = _NEVER
        if self._waiting or self._receiving is not None:
            self.steer()

    def eof_received(self) -> bool:
        """The client sends no more. One that waits for its response still gets it."""
        if self._receiving is not None:
            self._receiving.fail()
            self._receiving = None
        self._ignoring = self._ended = True
        self.read_deadline_s = _NEVER
        return self._current is not None and not self._streaming and not self._closing

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """The socket is gone. The handler runs on; a stream being sent is closed."""
        self._lost = self._ignoring = True
        self.read_deadline_s = self.write_deadline_s = _NEVER
        for exchange in (self._current, *self._waiting):
            if exchange is not None and exchange.body is not None:
                exchange.body.fail()
        self._receiving = None
        self._waiting.clear()
        self._wake_writer()
        if self._task is None:
            self._end()
        elif self._streaming:
            self._task.cancel()

    def pause_writing(self) -> None:
        """The client is slower than we are."""
        self._write_paused = True
        self._watch_writes()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._write_paused = False
        if not self._closing:
            self.write_deadline_s = _NEVER
        self._wake_writer()

    # --- parser callbacks

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer when a body is being received."""
        self._head_bytes += len(name) + len(value) + 4
        self._header_lines += 1
        if self._header_lines > self._limits.headers_max or self._over(self._head_bytes):
            raise Refused(431)
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1").strip(" \t")
        into = self._headers if self._receiving is None else self._receiving.trailers
        if key in into:
            if key == "host":
                raise Refused(400)
            joint = "; " if key == "cookie" else ","
            text = into[key] + joint + text
        into[key] = text

    def on_headers_complete(self) -> None:
        """The head is complete: the request starts, or waits for its turn."""
        parser, headers, limits = self._parser, self._headers, self._limits
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refused(505)
        method_bytes = parser.get_method()
        method = METHODS.get(method_bytes) or method_bytes.decode("latin-1")
        if method == "CONNECT" or (version == "1.1" and "host" not in headers):
            raise Refused(400)
        path, query = target(self._url, headers)
        length = body_length(headers, version)
        body: IncomingBody | None = None
        if length != 0:
            expects = headers.get("expect", "").lower() == "100-continue" and version == "1.1"
            body = IncomingBody(self, length, limits.body_buffer_bytes, expects)
        request = Request(method, path, query, headers, body or BytesBody(), self._peer)
        exchange = Exchange(request, body, parser.should_keep_alive(), version == "1.1")
        self._receiving = body
        self._upgrading = "upgrade" in headers and parser.should_upgrade()
        self._url, self._headers = b"", {}
        self._head_bytes = self._header_lines = 0
        if self._current is None:
            self._current = exchange
            self._task = self._loop.create_task(self._run())
        elif len(self._waiting) < limits.pipelined_max:
            self._waiting.append(exchange)
        else:
            self._receiving = None
            raise Refused(400)

    def on_body(self, data: bytes) -> None:
        """A piece of the request body."""
        if self._receiving is not None:
            self._receiving.feed(data)

    def on_message_complete(self) -> None:
        """The request is complete (or, for an upgrade, the parser says so without its body)."""
        if self._receiving is not None and not self._upgrading:
            self._receiving.finish()
            self._receiving = None
            self._header_lines = self._head_bytes = 0

    # --- what bodies and the sweep ask for

    def steer(self) -> None:
        """Pause or resume reading, by what waits and by the fill of the body being received."""
        body = self._receiving
        pause = bool(self._waiting) or (body is not None and body.full)
        if pause == self._read_paused or self._lost or self._closing or self._ended:
            return
        self._read_paused = pause
        if pause:
            self._transport.pause_reading()
            self.read_deadline_s = _NEVER
            return
        self._transport.resume_reading()
        if body is not None:
            self.read_deadline_s = self._loop.time() + self._limits.body_idle_timeout_s

    def send_continue(self) -> None:
        """Answer `Expect: 100-continue`."""
        if not self._lost:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def sweep(self, now_s: float) -> None:
        """Act on deadlines that have passed; called about once a second."""
        if self.write_deadline_s <= now_s:
            unsent_bytes = self._transport.get_write_buffer_size()
            if unsent_bytes < self._unsent_bytes:
                self._watch_writes()
            else:
                self.abort()
        if self.read_deadline_s <= now_s:
            self.read_deadline_s = _NEVER
            self._silent()

    def close_if_idle(self) -> None:
        """Close between requests; otherwise the present request is the last."""
        if self._current is None and not self._closing:
            self._close()

    def abort(self) -> None:
        """Cut the connection now; unsent bytes are lost."""
        if not self._lost:
            self._transport.abort()

    async def cancel(self) -> None:
        """Cut the connection, cancel its handler and wait for its end."""
        self.abort()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # --- reading

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._decline_upgrade()
                if data:
                    continue
            return

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1 with a request that offered another protocol (Java's HttpClient offers
        h2c with every first request). The parser leaves out the body of such a request, so a fresh
        one is shown a head with the same framing; the connection then ends with this request."""
        self._upgrading = False
        body = self._receiving
        if body is None:
            return
        exchange = self._waiting[-1] if self._waiting else self._current
        assert exchange is not None
        exchange.keep_alive = False
        framing = (
            "Transfer-Encoding: chunked"
            if body.length is None
            else (f"Content-Length: {body.length}")
        )
        self._parser = httptools.HttpRequestParser(_BodyOnly(self))
        self._parser.feed_data(f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode())

    def _over(self, head_bytes: int) -> bool:
        return head_bytes + len(self._url) > self._limits.head_bytes_max

    def _silent(self) -> None:
        """The client has been silent for too long."""
        if self._receiving is not None:
            self._receiving.fail()
        elif self._closing:
            self.abort()
        elif self._url:
            self._refuse(408)
        else:
            self._close()

    def _refuse(self, status: int) -> None:
        """Answer `status` after what is being answered, and read no further requests."""
        self._ignoring = True
        self._refusal = status
        self.read_deadline_s = _NEVER
        if self._receiving is not None:
            self._receiving.fail()
            self._receiving = None
            self._refusal = 0  # the request that is broken off answers for itself
        if self._current is None:
            self._write_refusal()

    # --- answering

    async def _run(self) -> None:
        """Answer the current request, and those that wait behind it."""
        try:
            while (exchange := self._current) is not None:
                await self._answer(exchange)
                if self._lost:
                    return
                if self._write_paused:
                    await self._wait_writable()
                body = exchange.body
                if body is not None and not await body.drain(self._limits.body_drain_bytes_max):
                    self._linger()
                    return
                self._next(exchange)
        finally:
            self._task = None
            if self._lost:
                self._end()

    async def _answer(self, exchange: Exchange) -> None:
        try:
            response = await self._shared.handler(exchange.request)
            if isinstance(response.body, bytes):
                self._write_whole(exchange, response, response.body)
            else:
                await self._write_stream(exchange, response, response.body)
        except BodyTruncated:
            self._give_up(exchange, 408)
        except BodyTooLarge:
            self._give_up(exchange, 413)
        except Exception:  # noqa: BLE001 - the one place: a handler's bug must not end the server
            _log.exception("%s %s failed", exchange.request.method, exchange.request.path)
            self._give_up(exchange, 500)

    def _give_up(self, exchange: Exchange, status: int) -> None:
        if exchange.head_sent:
            self.abort()  # so that the client sees a response cut short
            return
        exchange.keep_alive = False
        self._write_whole(exchange, Response(status), b"")

    def _next(self, exchange: Exchange) -> None:
        if not exchange.keep_alive:
            self._close()
        elif self._waiting:
            self._current = self._waiting.popleft()
            self.steer()
        elif self._refusal:
            self._write_refusal()
        elif self._ended or self._shared.draining:
            self._close()
        else:
            self._current = None
            timeout_s = (
                self._limits.head_timeout_s if self._url else (self._limits.keepalive_timeout_s)
            )
            self.read_deadline_s = self._loop.time() + timeout_s

    # --- writing

    def _own_lines(self, exchange: Exchange, framing: str) -> str:
        if self._shared.draining and not self._waiting:
            exchange.keep_alive = False
        date_line = self._shared.date_line()
        if exchange.keep_alive and exchange.http11:
            return framing + date_line
        word = "keep-alive" if exchange.keep_alive else "close"
        return f"{framing}{date_line}Connection: {word}\r\n"

    def _write_whole(self, exchange: Exchange, response: Response, data: bytes) -> None:
        if self._lost:
            return
        if exchange.body is not None and exchange.body.awaits_continue:
            exchange.keep_alive = False  # it may or may not send the body: nobody can tell
        length = len(data) if response.length is None else response.length
        if response.status in BODILESS:
            data, framing = b"", ""
        else:
            framing = f"Content-Length: {length}\r\n"
            if exchange.request.method == "HEAD":
                data = b""
            elif length != len(data):
                raise ValueError(f"a body of {len(data)} bytes was announced as {length}")
        head = response_head(response.status, response.headers, self._own_lines(exchange, framing))
        exchange.head_sent = True
        if len(data) <= _JOINED_BYTES_MAX:
            self._transport.write(head + data)
        else:
            self._transport.writelines((head, data))

    async def _write_stream(
        self, exchange: Exchange, response: Response, stream: AsyncIterator[bytes]
    ) -> None:
        self._streaming = True
        try:
            if not self._lost:
                await self._pump(exchange, response, stream)
        finally:
            self._streaming = False
            aclose = getattr(stream, "aclose", None)
            if aclose is not None:
                await aclose()

    async def _pump(
        self, exchange: Exchange, response: Response, stream: AsyncIterator[bytes]
    ) -> None:
        left, write = response.length, self._transport.write
        bodiless = response.status in BODILESS or exchange.request.method == "HEAD"
        chunked = left is None and exchange.http11
        if response.status in BODILESS:
            framing = ""
        elif left is not None:
            framing = f"Content-Length: {left}\r\n"
        elif chunked:
            framing = "Transfer-Encoding: chunked\r\n"
        else:
            framing, exchange.keep_alive = "", False  # HTTP/1.0: the end of the connection ends it
        head = response_head(response.status, response.headers, self._own_lines(exchange, framing))
        exchange.head_sent = True
        write(head)
        if bodiless:
            return
        async for data in stream:
            if not data:
                continue
            if chunked:
                self._transport.writelines((b"%x\r\n" % len(data), data, b"\r\n"))
            elif left is None:
                write(data)
            else:
                left -= len(data)
                if left < 0:
                    raise ValueError("a stream is longer than announced")
                write(data)
            if self._write_paused:
                await self._wait_writable()
        if left:
            raise ValueError(f"a stream is {left} bytes shorter than announced")
        if chunked:
            write(b"0\r\n\r\n")

    def _write_refusal(self) -> None:
        own_lines = f"Content-Length: 0\r\n{self._shared.date_line()}Connection: close\r\n"
        self._transport.write(response_head(self._refusal, (), own_lines))
        self._linger()

    async def _wait_writable(self) -> None:
        self._writable = self._loop.create_future()
        try:
            await self._writable
        finally:
            self._writable = None

    def _wake_writer(self) -> None:
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    def _watch_writes(self) -> None:
        self._unsent_bytes = self._transport.get_write_buffer_size()
        self.write_deadline_s = self._loop.time() + self._limits.write_stall_timeout_s

    # --- ending

    def _close(self) -> None:
        """Close once all that was written has left."""
        self._current = None
        self._closing = self._ignoring = True
        self.read_deadline_s = _NEVER
        self._transport.close()
        self._watch_writes()

    def _linger(self) -> None:
        """Close after a response that left request bytes unread: a close at once would make the
        kernel answer them with a reset, which can overtake the response."""
        if self._ended or self._lost:
            self._close()
            return
        self._current = None
        self._closing = self._ignoring = True
        if self._read_paused:
            self._transport.resume_reading()
        self._transport.write_eof()
        self._watch_writes()
        self.read_deadline_s = self._loop.time() + self._limits.linger_timeout_s

    def _end(self) -> None:
        self._shared.connections.discard(self)
        self._shared.on_ended()


class _BodyOnly:
    """Parser callbacks for the body alone; see `Connection._decline_upgrade`."""

    def __init__(self, connection: Connection) -> None:
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete
