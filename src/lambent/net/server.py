"""The HTTP/1.1 server: listening, the sweep of deadlines, and an orderly end.

An asyncio.Protocol over httptools, made for uvloop (docs/adr/0003-net-room.md). Serves the gateway
and every Runtime API listener alike.
"""

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path

from lambent.base.clock import RealClock
from lambent.net.connection import Connection, Handler, Shared
from lambent.net.head import DateLine
from lambent.net.limits import HttpLimits

__all__ = ["Handler", "HttpServer", "serve"]

_SWEEP_INTERVAL_S = 1.0
_BACKLOG = 4_096


class HttpServer:
    """A listening server; made by `serve`."""

    def __init__(self, handler: Handler, limits: HttpLimits, date_line: DateLine) -> None:
        self._connections: set[Connection] = set()
        self._shared = Shared(
            handler, limits, date_line, self._opened, self._ended, self._connections.__len__
        )
        self._loop = asyncio.get_running_loop()
        self._listener: asyncio.AbstractServer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self.port = 0
        """The TCP port; 0 for a unix socket."""

    @property
    def connection_count(self) -> int:
        """Connections that are open, or whose handler still runs."""
        return len(self._connections)

    def connect(self) -> Connection:
        """The protocol for one accepted connection (also for tests that bring a transport)."""
        return Connection(self._shared)

    def listen_on(self, listener: asyncio.AbstractServer, port: int) -> None:
        """Adopt a listener, so that it ends with this server."""
        self._listener, self.port = listener, port

    async def listen_too(self, sock: socket.socket) -> asyncio.AbstractServer:
        """Answer a bound `sock`, too, by the same handler and limits; closing it is the caller's.

        Its connections count as this server's.
        """
        return await self._loop.create_server(self.connect, sock=sock, backlog=_BACKLOG)

    def sweep(self, now_s: float) -> None:
        """Cut off whoever is late at `now_s` (event loop time).

        A walk over all connections, once a second: at 10,000 of them about 0.5 ms, and the hot
        path pays one assignment per request instead of an ordered structure.
        """
        for connection in list(self._connections):
            if connection.late(now_s):
                connection.sweep(now_s)

    def stop_accepting(self) -> None:
        """Close the listening socket; connections live on."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def drain(self, timeout_s: float) -> bool:
        """Stop accepting, close idle connections, let requests in flight finish.

        True when all connections have ended within `timeout_s` seconds.
        """
        self.stop_accepting()
        self._shared.draining = True
        for connection in list(self._connections):
            connection.close_if_idle()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        """Cut all connections and cancel their handlers. Idempotent."""
        self.stop_accepting()
        self._shared.draining = True
        connections = list(self._connections)
        await asyncio.gather(*(connection.cancel() for connection in connections))
        await self._empty.wait()

    def _opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._empty.clear()
        if self._timer is None:
            self._arm()

    def _ended(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
            if self._timer is not None:  # no wake-ups on behalf of nobody
                self._timer.cancel()
                self._timer = None

    def _arm(self) -> None:
        self._timer = self._loop.call_later(_SWEEP_INTERVAL_S, self._tick)

    def _tick(self) -> None:
        self._arm()
        self.sweep(self._loop.time())


async def serve(
    handler: Handler,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    limits: HttpLimits | None = None,
    sock: socket.socket | None = None,
    path: Path | None = None,
    now: Callable[[], float] | None = None,
) -> HttpServer:
    """Listen on `host`:`port` (0: any free one), on a bound `sock`, or on the unix socket `path`.

    `handler` answers each request; what it raises is its bug: logged, answered with an empty 500
    (BodyTooLarge: 413, BodyTruncated: 408), and the connection is closed. `now` gives the seconds
    since the epoch for the Date header. Errors: OSError when the address cannot be had.
    """
    loop = asyncio.get_running_loop()
    date_line = DateLine(now or RealClock().now)
    server = HttpServer(handler, limits or HttpLimits(), date_line)
    if path is not None:
        server.listen_on(await loop.create_unix_server(server.connect, path, backlog=_BACKLOG), 0)
        return server
    if sock is not None:
        listener = await loop.create_server(server.connect, sock=sock, backlog=_BACKLOG)
    else:
        listener = await loop.create_server(server.connect, host, port, backlog=_BACKLOG)
    server.listen_on(listener, listener.sockets[0].getsockname()[1])
    return server
