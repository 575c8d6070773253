"""Telemetry on its way to one subscriber: batches over HTTP or TCP, bounded, one at a time.

A batch leaves when it has `items_max` events or `bytes_max` bytes, or `timeout_s` after its first
event, on real time. While one is on its way, more is held, up to `HELD_BATCHES_MAX` batches of
bytes; beyond that events are dropped and counted, and the next batch begins with a
`platform.logsDropped`. A batch that is not taken is sent again a few times, then dropped likewise.

The far end is user code: nothing it answers is believed beyond a status, and no wait is endless.
Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api.html
"""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable

from lambent.base.tasks import Tasks
from lambent.sandbox.extensions.subscriptions import HOSTS, Subscription

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Dial = Callable[[int], Awaitable[Streams]]
"""Connects to a port inside the environment. Errors: OSError."""

HELD_BATCHES_MAX = 4
ATTEMPTS_MAX = 5
REASON = "Consumer seems to have fallen behind as it has not acknowledged receipt of logs."
_SEND_S = 5.0
_AGAIN_S = 0.2
_ANSWER_BYTES_MAX = 65_536
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})")


async def dial_local(port: int) -> Streams:
    """Where environments share the server's network."""
    return await asyncio.open_connection("127.0.0.1", port)


class Sink:
    """The end of one subscription. `dropped`: makes the event that says what was lost."""

    def __init__(
        self,
        subscription: Subscription,
        dial: Dial,
        tasks: Tasks,
        dropped: Callable[[int, int], bytes],
    ) -> None:
        self.subscription = subscription
        self._tasks, self._event_of_loss = tasks, dropped
        self._wire = (_Http if subscription.protocol == "HTTP" else _Tcp)(subscription, dial)
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._lost_items = self._lost_bytes = 0
        self._due = False
        self._timer: asyncio.TimerHandle | None = None
        self._sending: asyncio.Task[None] | None = None
        self._closed = False

    def add(self, event: bytes) -> None:
        """One more event, encoded; dropped when too many wait already."""
        size, what = len(event), self.subscription
        if self._closed:
            return
        if self._held and self._held_bytes + size > HELD_BATCHES_MAX * what.bytes_max:
            self._lose(1, size)
            return
        self._held.append(event)
        self._held_bytes += size
        if len(self._held) >= what.items_max or self._held_bytes >= what.bytes_max:
            self.flush()
        elif self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(what.timeout_s, self.flush)

    def flush(self) -> None:
        """Send what is held."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._due = bool(self._held or self._lost_items)
        if self._due and self._sending is None and not self._closed:
            self._sending = self._tasks.start("telemetry", self._send_all())

    def close(self) -> None:
        """Drop what is held; whoever owns the tasks cancels what is on its way."""
        self._closed = True
        self._held.clear()
        if self._timer is not None:
            self._timer.cancel()
        self._wire.close()

    async def _send_all(self) -> None:
        try:
            while self._due or self._held_bytes >= self.subscription.bytes_max:
                self._due = False
                await self._send(self._batch())
                if self._held and not self._due and self._timer is None:
                    loop = asyncio.get_running_loop()
                    self._timer = loop.call_later(self.subscription.timeout_s, self.flush)
        finally:
            self._sending = None

    def _batch(self) -> list[bytes]:
        batch: list[bytes] = []
        size = 0
        if self._lost_items:
            batch.append(self._event_of_loss(self._lost_items, self._lost_bytes))
            self._lost_items = self._lost_bytes = 0
        while self._held and len(batch) < self.subscription.items_max:
            if batch and size + len(self._held[0]) > self.subscription.bytes_max:
                self._due = True
                break
            event = self._held.popleft()
            size += len(event)
            batch.append(event)
        self._held_bytes -= size
        return batch

    async def _send(self, batch: list[bytes]) -> None:
        for _ in range(ATTEMPTS_MAX):
            try:
                async with asyncio.timeout(_SEND_S):
                    if await self._wire.send(batch):
                        return
            except (OSError, TimeoutError, EOFError):
                self._wire.close()
            await asyncio.sleep(_AGAIN_S)
        self._lose(len(batch), sum(map(len, batch)))

    def _lose(self, count: int, size: int) -> None:
        self._lost_items += count
        self._lost_bytes += size


class _Http:
    """One request per batch: a JSON array."""

    def __init__(self, what: Subscription, dial: Dial) -> None:
        self._what, self._dial = what, dial

    async def send(self, batch: list[bytes]) -> bool:
        """Whether the batch was accepted. Errors: OSError, EOFError."""
        body = b"[" + b",".join(batch) + b"]"
        reader, writer = await self._dial(self._what.port)
        try:
            writer.write(
                f"{self._what.method} {self._what.path} HTTP/1.1\r\n"
                f"Host: {HOSTS[0]}:{self._what.port}\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
            answer = await reader.read(_ANSWER_BYTES_MAX)
            status = _STATUS.match(answer)
            return status is not None and status[1].startswith(b"2")
        finally:
            writer.close()

    def close(self) -> None:
        """Nothing is kept between batches."""


class _Tcp:
    """One connection, one line per event."""

    def __init__(self, what: Subscription, dial: Dial) -> None:
        self._what, self._dial = what, dial
        self._writer: asyncio.StreamWriter | None = None

    async def send(self, batch: list[bytes]) -> bool:
        """True once the kernel has the batch. Errors: OSError."""
        if self._writer is None:
            _, self._writer = await self._dial(self._what.port)
        self._writer.write(b"".join(event + b"\n" for event in batch))
        await self._writer.drain()
        return True

    def close(self) -> None:
        """Connect again next time."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
