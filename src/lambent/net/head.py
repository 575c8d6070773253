"""Heads of messages: what a request's head says about it, and how a response's head is written."""

from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
}
_OWNED = frozenset(("connection", "content-length", "date", "keep-alive", "transfer-encoding"))
BODILESS = frozenset((204, 304))
"""Statuses whose responses never have a body (RFC 9110, 6.4.1)."""

METHODS = {
    name.encode(): name for name in ("GET", "PUT", "POST", "HEAD", "DELETE", "PATCH", "OPTIONS")
}
"""The usual methods, as interned text."""


class Refused(Exception):  # noqa: N818 - a refusal, answered as such
    """The request cannot be served as HTTP; `status` says why."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class DateLine:
    """The `Date` header line, made once a second."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._second = -1
        self._line = ""

    def __call__(self) -> str:
        """The line, with its end."""
        second = int(self._now())
        if second != self._second:
            self._second = second
            self._line = f"Date: {formatdate(second, usegmt=True)}\r\n"
        return self._line


def response_head(status: int, headers: Iterable[tuple[str, str]], own_lines: str) -> bytes:
    """The head, blank line included; `own_lines` are the server's header lines.

    ValueError for a name or value that would break out of its line, or is not latin-1.
    """
    lines = [f"{name}: {value}\r\n" for name, value in headers if name.lower() not in _OWNED]
    theirs = "".join(lines)
    if theirs.count("\n") != len(lines) or theirs.count("\r") != len(lines) or "\0" in theirs:
        raise ValueError("a response header contains CR, LF or NUL")
    status_line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} \r\n"
    return f"{status_line}{theirs}{own_lines}\r\n".encode("latin-1")


def body_length(headers: dict[str, str], version: str) -> int | None:
    """Bytes of the request's body by its head; None for chunked.

    The parser has already refused both framings together, repeated or malformed Content-Length,
    and codings that do not end in chunked. Refused: 501 for a coding besides chunked.
    """
    coding = headers.get("transfer-encoding")
    if coding is None:
        length = headers.get("content-length")
        if length is None:
            return 0
        if not length.isdecimal():
            raise Refused(400)
        return int(length)
    if version != "1.1":
        raise Refused(400)  # HTTP/1.0 has no chunks: whoever forwards this reads it differently
    if coding.lower() != "chunked":
        raise Refused(501)
    return None


def target(url: bytes, headers: dict[str, str]) -> tuple[str, str]:
    """Path and query of a request target; one in absolute form overrides Host (RFC 9112, 3.2.2)."""
    text = url.decode("latin-1")
    if not text.startswith("/") and text != "*":
        scheme, separator, rest = text.partition("://")
        if not separator or scheme.lower() not in ("http", "https"):
            raise Refused(400)
        cut = min((at for at in (rest.find("/"), rest.find("?")) if at >= 0), default=len(rest))
        headers["host"], text = rest[:cut], rest[cut:]
        if not text.startswith("/"):
            text = "/" + text
    path, _, query = text.partition("?")
    return path, query
