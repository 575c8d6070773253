"""HTTP/1.1 as bytes and messages: the server side that the gateway and the Runtime API share.

Knows no AWS. May import: base. Read first: `message.py`, then `server.py`.
Why a room of its own: `gateway` (an edge) and `sandbox` (below the kernel) both speak HTTP and may
not import each other; see docs/adr/0003-net-room.md.
"""

from lambent.net.limits import HttpLimits
from lambent.net.message import Body, BodyTooLarge, BodyTruncated, BytesBody, Request, Response
from lambent.net.server import Handler, HttpServer, serve

__all__ = [
    "Body",
    "BodyTooLarge",
    "BodyTruncated",
    "BytesBody",
    "Handler",
    "HttpLimits",
    "HttpServer",
    "Request",
    "Response",
    "serve",
]
