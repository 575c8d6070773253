"""What one peer may take of the server: sizes, counts and times, each with its unit."""

from msgspec import Struct


class HttpLimits(Struct, frozen=True, kw_only=True):
    """Bounds per connection and per server.

    The times are network hygiene: they run on the event loop's own clock, never on the platform's,
    so that a virtual clock that jumps a day does not cut off a client in mid-upload. They are
    checked by one sweep a second, so that they are met within a second, not to the millisecond.
    """

    head_bytes_max: int = 1_048_576
    """Request line and headers together. Lambda's own bound; beyond: 431.
    Source: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    headers_max: int = 256
    """Header lines of one request, trailers included; beyond: 431."""
    head_timeout_s: float = 30.0
    """From the connection's start, or a request's first byte, to the end of its head; then 408."""
    keepalive_timeout_s: float = 75.0
    """How long a connection may wait between requests. Longer than the idle time of AWS SDK
    connection pools (60 s), so that the client closes first and never meets a closing server."""
    body_idle_timeout_s: float = 60.0
    """Silence in the middle of a request body that is being waited for; then BodyTruncated."""
    write_stall_timeout_s: float = 60.0
    """A client that takes no byte of its response for so long is cut off."""
    linger_timeout_s: float = 5.0
    """After a response that leaves request bytes unread: how long they are read and dropped, so
    that the client sees the response and not a connection reset."""
    connections_max: int = 10_000
    """Connections at once; one more is answered with 503 and closed."""
    pipelined_max: int = 256
    """Requests of one connection waiting behind the one being answered; beyond: 400."""
    body_buffer_bytes: int = 262_144
    """Unread body bytes above which reading from the socket pauses (unless read whole)."""
    body_drain_bytes_max: int = 262_144
    """Unread request bytes that are worth reading away to keep the connection open."""
