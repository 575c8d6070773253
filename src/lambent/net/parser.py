"""Request heads and bodies out of a connection's bytes, by httptools.

The parser below (llhttp, in its strict mode) does most of the hygiene against request smuggling:
one framing only, one Content-Length, CRLF line ends, no folded lines, no control characters, exact
chunk sizes. What it lets through and we do not is refused here and in `head.py`.
Headers go straight into the request's dict, their names through a cache: of five ways measured the
cheapest (0.24 us a header; raw lists decoded in one go afterwards: 0.5).
"""

from typing import Protocol

import httptools

from lambent.net.body import IncomingBody, Source
from lambent.net.head import METHODS, Refused, body_length, target
from lambent.net.limits import HttpLimits
from lambent.net.message import BytesBody, Request

_READ_BYTES_MAX = 262_144
"""At least what one read from a socket brings (uvloop: 256,000 bytes)."""
_NAMES_MAX = 1_024
_names: dict[bytes, str] = {}  # header names as sent -> lower case; a cache, bounded


class Exchange:
    """One request on its way to its response."""

    __slots__ = ("body", "head_sent", "http11", "keep_alive", "request")

    def __init__(
        self, request: Request, body: IncomingBody | None, keep_alive: bool, http11: bool
    ) -> None:
        self.request = request
        self.body = body
        """None when the request has none."""
        self.keep_alive = keep_alive
        self.http11 = http11
        self.head_sent = False


class Sink(Source, Protocol):
    """The connection, as the parser sees it."""

    def on_request(self, exchange: Exchange) -> None:
        """A head is complete; the body, if any, is fed from now on. Errors: Refused."""


class RequestParser:
    """The parser of one connection."""

    def __init__(self, sink: Sink, limits: HttpLimits, peer: str) -> None:
        self._sink, self._limits, self._peer = sink, limits, peer
        self._http = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}  # of the head, or the trailers, that is arriving
        self._repeats = 0
        self._fed_bytes = self._unparsed_bytes = 0
        self._upgrading = False
        self._latest: Exchange | None = None
        self.receiving: IncomingBody | None = None
        """The body that is arriving."""

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return bool(self._url) and self.receiving is None

    def feed(self, data: bytes) -> None:
        """Parse `data`. Errors: Refused, with the status to answer; feed nothing more after it."""
        self._fed_bytes = len(data)
        self._unparsed_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            raise (error.__context__ or Refused(400)) from error  # context: out of a callback
        # Incomplete heads, trailers and chunk extensions are held by httptools until they end;
        # here is what keeps an endless one from filling the memory.
        limits = self._limits
        if (
            self._unparsed_bytes > limits.head_bytes_max + _READ_BYTES_MAX
            or len(self._headers) > limits.headers_max
        ):
            raise Refused(431)

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self._http.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                self._decline_upgrade()
                data = data[upgrade.args[0] :]
                if data:
                    continue
            return

    def _decline_upgrade(self) -> None:
        """Go on in HTTP/1.1 with a request that offered another protocol (Java's HttpClient offers
        h2c with each first request). httptools leaves out the body of such a request, so a fresh
        parser is shown a head with the same framing; the connection then ends with this request.
        """
        self._upgrading = False
        body = self.receiving
        if body is None:
            return
        assert self._latest is not None
        self._latest.keep_alive = False
        framing = "Transfer-Encoding: chunked"
        if body.length is not None:
            framing = f"Content-Length: {body.length}"
        self._http = httptools.HttpRequestParser(_BodyOnly(self))
        self._http.feed_data(f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode())

    # --- httptools' callbacks

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header, or one trailer."""
        key = _names.get(name)
        if key is None:
            key = name.decode("latin-1").lower()
            if len(_names) < _NAMES_MAX:
                _names[name] = key
        text = value.decode("latin-1").rstrip(" \t")
        headers = self._headers
        if key in headers:
            text = self._joined(key, text)
        headers[key] = text

    def on_headers_complete(self) -> None:
        """The head is complete."""
        http, limits = self._http, self._limits
        headers = self._take_headers()
        self._check_size(headers)
        version = http.get_http_version()
        if version not in ("1.1", "1.0"):
            raise Refused(505)
        method_bytes = http.get_method()
        method = METHODS.get(method_bytes) or method_bytes.decode("latin-1")
        if method == "CONNECT" or (version == "1.1" and "host" not in headers):
            raise Refused(400)
        path, query = target(self._url, headers)
        self._url = b""
        length = body_length(headers, version)
        body = None
        if length != 0:
            expects = version == "1.1" and headers.get("expect", "").lower() == "100-continue"
            body = IncomingBody(self._sink, length, limits.body_buffer_bytes, expects)
        request = Request(method, path, query, headers, body or BytesBody(), self._peer)
        exchange = Exchange(request, body, http.should_keep_alive(), version == "1.1")
        if "upgrade" in headers:
            self._upgrading = http.should_upgrade()
        self._latest, self.receiving = exchange, body
        self._sink.on_request(exchange)

    def on_body(self, data: bytes) -> None:
        """A piece of the request body."""
        self._unparsed_bytes = self._fed_bytes
        if self.receiving is not None:
            self.receiving.feed(data)

    def on_message_complete(self) -> None:
        """The request is complete (of one with an upgrade: its head is)."""
        self._unparsed_bytes = self._fed_bytes
        body = self.receiving
        if body is not None and not self._upgrading:
            if self._headers:
                body.trailers.update(self._take_headers())
            self.receiving = None
            body.finish()

    def _take_headers(self) -> dict[str, str]:
        headers, self._headers = self._headers, {}
        self._repeats = 0
        if len(headers) > self._limits.headers_max:
            raise Refused(431)
        return headers

    def _check_size(self, headers: dict[str, str]) -> None:
        bytes_max = self._limits.head_bytes_max
        if self._unparsed_bytes <= bytes_max:
            return  # the head cannot be longer than what has come
        texts = sum(len(name) + len(value) + 4 for name, value in headers.items())
        if len(self._url) + texts > bytes_max:
            raise Refused(431)

    def _joined(self, name: str, text: str) -> str:
        self._repeats += 1
        if name == "host":
            raise Refused(400)
        if self._repeats > self._limits.headers_max:
            raise Refused(431)
        return self._headers[name] + ("; " if name == "cookie" else ",") + text


class _BodyOnly:
    """Callbacks for the body alone; see `RequestParser._decline_upgrade`."""

    def __init__(self, parser: RequestParser) -> None:
        self.on_body = parser.on_body
        self.on_message_complete = parser.on_message_complete
