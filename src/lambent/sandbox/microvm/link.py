"""The server's end of a microVM's only port: one ordered byte stream that carries everything.

A frame is an 8-byte big-endian header (type u8, pad, stream u16, payload length u32) and the
payload. CONTROL carries one JSON object. OUTPUT is what the runtime printed. DATA belongs to a
stream, which ends here in a non-blocking socket: stream 1 is the runtime's channel (attached by the
box), others are connections that the guest opens (OPEN names one of the fixed `targets`, never an
address). CLOSE ends a stream in both directions. CREDIT gives the far end more bytes to send on
stream N; on stream 0, of output. Output credit is given back at `BYTES_PER_S_MAX`, so a flood waits
in the guest.

The guest is hostile: a frame that breaks these rules, or exceeds its credit, ends the link.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from lambent.base.tasks import Tasks

HEADER = struct.Struct(">BxHI")
CONTROL, OUTPUT, OPEN, DATA, CLOSE, CREDIT = range(1, 7)
CHANNEL = 1
WINDOW_BYTES = 262_144
CHUNK_BYTES = 65_536
STREAMS_MAX = 300
BYTES_PER_S_MAX = 16 * 1024 * 1024
_BURST_BYTES = 4 * 1024 * 1024
_UNSENT_BYTES_MAX = 1 << 20


class LinkError(Exception):
    """The guest does not keep to the protocol."""


def frame(kind: int, stream: int, payload: bytes) -> bytes:
    """The bytes of one frame."""
    return HEADER.pack(kind, stream, len(payload)) + payload


class Stream:
    """One byte stream, ending in `sock`. `credit`: what may still be sent to the guest."""

    def __init__(self) -> None:
        self.sock: socket.socket | None = None
        self.credit, self.owed = WINDOW_BYTES, 0
        self.unsent = bytearray()
        self.closing = False
        self.reading = False


class Link:
    """Callbacks: `on_control` and `on_output` for what arrives, `on_end` once when it is over."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        on_control: Callable[[dict[str, Any]], None],
        on_output: Callable[[bytes], None],
        on_end: Callable[[], None],
        targets: Sequence[tuple[str, int]] = (),
    ) -> None:
        sock.setblocking(False)
        self._sock, self._targets = sock, targets
        self._on_control, self._on_output, self._on_end = on_control, on_output, on_end
        self._loop = asyncio.get_running_loop()
        self._tasks = Tasks("microvm link", STREAMS_MAX)
        self._inbound, self._outbound = bytearray(), bytearray()
        self._streams: dict[int, Stream] = {}
        self._closed_waiters: list[Callable[[], None]] = []
        self._output_window = WINDOW_BYTES
        self._budget, self._refilled_s = float(_BURST_BYTES), self._loop.time()
        self.open = True
        self._loop.add_reader(sock, self._readable)

    # ---- to the guest ----

    def tell(self, message: dict[str, Any]) -> None:
        """Send a control message."""
        self._send(CONTROL, 0, json.dumps(message).encode())

    def attach(self, number: int, sock: socket.socket) -> None:
        """Carry a connected socket as stream `number`; it is closed with the stream."""
        stream = self._streams.setdefault(number, Stream())
        sock.setblocking(False)
        stream.sock = sock
        self._flush(number, stream)
        self._listen(number, stream)

    def when_closed(self, callback: Callable[[], None]) -> None:
        """Call when the channel has ended and all that came for it was handed on."""
        if CHANNEL in self._streams:
            self._closed_waiters.append(callback)
        else:
            callback()

    def _send(self, kind: int, stream: int, payload: bytes) -> None:
        if not self.open:
            return
        if not self._outbound:
            self._loop.add_writer(self._sock, self._writable)
        self._outbound += frame(kind, stream, payload)
        self._writable()

    def _writable(self) -> None:
        try:
            del self._outbound[: self._sock.send(self._outbound)]
        except BlockingIOError:
            return
        except OSError:
            self._outbound.clear()  # the reader sees the end
        if not self._outbound and self.open:
            self._loop.remove_writer(self._sock)
            for number, stream in self._streams.items():
                self._listen(number, stream)

    # ---- from the guest ----

    def _readable(self) -> None:
        try:
            data = self._sock.recv(CHUNK_BYTES * 4)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._inbound += data
        try:
            self._take_frames()
        except (LinkError, ValueError, TypeError, KeyError):
            data = b""
        if not data and self.open:
            self.close()
            self._on_end()

    def _take_frames(self) -> None:
        while self.open and len(self._inbound) >= HEADER.size:
            kind, number, size = HEADER.unpack_from(self._inbound)
            if size > CHUNK_BYTES:
                raise LinkError(f"a frame of {size} bytes")
            end = HEADER.size + size
            if len(self._inbound) < end:
                return
            payload = bytes(self._inbound[HEADER.size : end])
            del self._inbound[:end]
            self._heard(kind, number, payload)

    def _heard(self, kind: int, number: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if kind == CONTROL:
            message = json.loads(payload)
            if not isinstance(message, dict):
                raise LinkError("a control message that is no object")
            self._on_control(message)
        elif kind == OUTPUT:
            self._hear_output(payload)
        elif kind == OPEN:
            self._hear_open(number, payload)
        elif stream is None:
            return  # it has ended here; the guest will know soon
        elif kind == DATA:
            stream.unsent += payload
            if len(stream.unsent) + stream.owed > WINDOW_BYTES:
                raise LinkError("more than the credit")
            self._flush(number, stream)
        elif kind == CREDIT:
            stream.credit = min(stream.credit + int.from_bytes(payload, "big"), WINDOW_BYTES)
            self._listen(number, stream)
        elif kind == CLOSE:
            stream.closing = True
            self._flush(number, stream)
        else:
            raise LinkError(f"unknown frame type {kind}")

    def _hear_output(self, payload: bytes) -> None:
        self._output_window -= len(payload)
        if self._output_window < 0:
            raise LinkError("more output than the credit")
        self._budget -= len(payload)
        self._on_output(payload)
        if self._budget <= 0:
            now_s = self._loop.time()
            earned = (now_s - self._refilled_s) * BYTES_PER_S_MAX
            self._budget, self._refilled_s = min(self._budget + earned, _BURST_BYTES), now_s
        if self._budget > 0:
            self._give_output_credit()
        else:
            self._loop.call_later(-self._budget / BYTES_PER_S_MAX, self._give_output_credit)

    def _give_output_credit(self) -> None:
        owed = WINDOW_BYTES - self._output_window
        if owed >= WINDOW_BYTES // 4 and self.open:
            self._output_window = WINDOW_BYTES
            self._send(CREDIT, 0, owed.to_bytes(4, "big"))

    def _hear_open(self, number: int, payload: bytes) -> None:
        target = payload[0] if payload else len(self._targets)
        if number in self._streams or number <= CHANNEL or target >= len(self._targets):
            raise LinkError("an impossible connection")
        if len(self._streams) >= STREAMS_MAX:
            raise LinkError("too many connections")
        self._streams[number] = Stream()
        self._tasks.start(f"connect {number}", self._connect(number, self._targets[target]))

    async def _connect(self, number: int, target: tuple[str, int]) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        try:
            await self._loop.sock_connect(sock, target)
        except OSError:
            sock.close()
            self._end_stream(number)
            return
        if number in self._streams:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.attach(number, sock)
        else:
            sock.close()

    # ---- streams ----

    def _listen(self, number: int, stream: Stream) -> None:
        """Read the socket exactly while there is credit and the port takes what is read."""
        if stream.sock is None:
            return
        wanted = stream.credit > 0 and len(self._outbound) < _UNSENT_BYTES_MAX
        if wanted and not stream.reading:
            self._loop.add_reader(stream.sock, self._read_stream, number, stream)
        elif stream.reading and not wanted:
            self._loop.remove_reader(stream.sock)
        stream.reading = wanted

    def _read_stream(self, number: int, stream: Stream) -> None:
        assert stream.sock is not None
        try:
            data = stream.sock.recv(min(CHUNK_BYTES, stream.credit))
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            stream.credit -= len(data)
            self._send(DATA, number, data)
            self._listen(number, stream)
        else:
            self._end_stream(number)

    def _end_stream(self, number: int) -> None:
        """The end on this side."""
        self._send(CLOSE, number, b"")
        self._drop(number)

    def _flush(self, number: int, stream: Stream) -> None:
        """Hand on what came, and give credit for more."""
        if stream.sock is None:
            return
        try:
            while stream.unsent:
                count = stream.sock.send(stream.unsent)
                del stream.unsent[:count]
                stream.owed += count
        except BlockingIOError:
            self._loop.add_writer(stream.sock, self._flush, number, stream)
        except OSError:
            stream.unsent.clear()  # reading tells the end
        if not stream.unsent:
            self._loop.remove_writer(stream.sock)
        if stream.closing and not stream.unsent:
            self._drop(number)
        elif stream.owed >= WINDOW_BYTES // 4:
            owed, stream.owed = stream.owed, 0
            self._send(CREDIT, number, owed.to_bytes(4, "big"))

    def _drop(self, number: int) -> None:
        stream = self._streams.pop(number, None)
        if stream is not None and stream.sock is not None:
            self._loop.remove_reader(stream.sock)
            self._loop.remove_writer(stream.sock)
            stream.sock.close()
        if number == CHANNEL:
            waiters, self._closed_waiters = self._closed_waiters, []
            for callback in waiters:
                callback()

    def close(self) -> None:
        """Close the port and every stream; `on_end` is not called any more. Idempotent."""
        if self.open:
            self.open = False
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()
            for number in list(self._streams):
                self._drop(number)

    async def join(self) -> None:
        """After `close`: wait for connections that were being made."""
        await self._tasks.close()
