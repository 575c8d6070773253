"""The framed channel: how the server talks to our own bootstraps.

A frame is a 12-byte big-endian header (type u8, pad, meta length u16, payload length u32, sequence
u32), then the meta (a small JSON object) and the payload (bytes that the server never decodes).
`Frames` is the sans-IO parser; `Channel` moves frames over a non-blocking unix stream socket with
the loop's reader callbacks, which costs one `recv` and one `send` a round trip.

The far end is user code's own process: everything it sends is checked, nothing it sends is
trusted, and what is too long is discarded as it arrives and reported as such.
"""

import asyncio
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

HEADER = struct.Struct(">BxHII")

START, INVOKE = 1, 2
READY, INIT_ERROR, RESULT, ERROR, LAUNCH_FAILED = 16, 17, 18, 19, 21
STREAM, CHUNK = 24, 25
"""A streamed answer begins (its content type in the meta); some bytes of it. RESULT ends it."""

_KNOWN = frozenset((START, INVOKE, READY, INIT_ERROR, RESULT, ERROR, LAUNCH_FAILED, STREAM, CHUNK))

PAYLOAD_BYTES_MAX = 6_291_556  # 6 MiB + 100; Source: gettingstarted-limits
_RECEIVE_BYTES = 262_144
_scratch = bytearray(_RECEIVE_BYTES)  # one for all channels: it is emptied before anyone else runs
_view = memoryview(_scratch)


_decode = msgspec.json.Decoder().decode


class FrameError(Exception):
    """The far end does not speak the protocol."""


@dataclass(slots=True)
class Frame:
    """One message. `too_large` means that the payload was over the limit and was dropped."""

    kind: int
    meta: Mapping[str, Any]
    payload: bytes
    sequence: int
    too_large: bool = False


def encode(kind: int, meta: bytes = b"", payload: bytes = b"", sequence: int = 0) -> bytes:
    """The bytes of one frame."""
    return HEADER.pack(kind, len(meta), len(payload), sequence) + meta + payload


class Frames:
    """Incremental parser: bytes in any chunks in, whole frames out.

    Holds at most one partial frame: header, meta (64 KiB) and payload (`payload_bytes_max`).
    """

    def __init__(self, payload_bytes_max: int = PAYLOAD_BYTES_MAX) -> None:
        self._limit = payload_bytes_max
        self._parts: list[bytes] = []
        self._have = 0
        self._need = HEADER.size  # bytes until the next decision
        self._skip = 0
        self._dropped: tuple[int, bytes, int] | None = None

    def feed(self, data: memoryview) -> Iterator[Frame]:
        """Frames completed by `data`. Errors: FrameError, after which the channel is useless."""
        while data:
            if self._skip:
                count = min(self._skip, len(data))
                self._skip -= count
                data = data[count:]
                if not self._skip:
                    yield self._end_of_dropped()
                continue
            if not self._have and (frame := self._whole(data)) is not None:
                yield frame[0]
                data = data[frame[1] :]
                continue
            count = min(self._need - self._have, len(data))
            self._parts.append(bytes(data[:count]))
            self._have += count
            data = data[count:]
            if self._have == self._need:
                yield from self._advance()

    def _whole(self, data: memoryview) -> tuple[Frame, int] | None:
        """The usual case: a complete frame at the start of `data`."""
        if len(data) < HEADER.size:
            return None
        kind, meta_size, size, sequence = HEADER.unpack_from(data)
        _check(kind)
        end = HEADER.size + meta_size + size
        if size > self._limit or len(data) < end:
            return None
        split = HEADER.size + meta_size
        return _frame(kind, bytes(data[12:split]), bytes(data[split:end]), sequence), end

    def _advance(self) -> Iterator[Frame]:
        """As many bytes are here as were asked for: ask for more, or make the frame."""
        whole = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        self._parts = [whole]
        kind, meta_size, size, sequence = HEADER.unpack_from(whole)
        _check(kind)
        split = HEADER.size + meta_size
        if size > self._limit and len(whole) < split:
            self._need = split
        elif size > self._limit:
            self._dropped, self._skip = (kind, whole[12:split], sequence), size
            self._clear()
        elif len(whole) < split + size:
            self._need = split + size
        else:
            self._clear()
            yield _frame(kind, whole[12:split], whole[split:], sequence)

    def _clear(self) -> None:
        self._parts, self._have, self._need = [], 0, HEADER.size

    def _end_of_dropped(self) -> Frame:
        assert self._dropped is not None
        kind, meta, sequence = self._dropped
        self._dropped = None
        frame = _frame(kind, meta, b"", sequence)
        frame.too_large = True
        return frame


def _check(kind: int) -> None:
    if kind not in _KNOWN:
        raise FrameError(f"unknown frame type {kind}")


def _frame(kind: int, meta: bytes, payload: bytes, sequence: int) -> Frame:
    try:
        fields = _decode(meta) if meta else {}
    except (msgspec.DecodeError, RecursionError) as error:
        raise FrameError("meta is not JSON") from error
    if not isinstance(fields, dict):
        raise FrameError("meta is not an object")
    return Frame(kind, fields, payload, sequence)


class Channel:
    """One connected socket. `on_frame` gets frames; `on_end` is called once when it is over."""

    def __init__(
        self, sock: socket.socket, on_frame: Callable[[Frame], None], on_end: Callable[[], None]
    ) -> None:
        sock.setblocking(False)
        self._sock, self._on_frame, self._on_end = sock, on_frame, on_end
        self._frames = Frames()
        self._loop = asyncio.get_running_loop()
        self._unsent = bytearray()
        self._open = True
        self._paused = False
        self._loop.add_reader(sock, self._readable)

    def send(self, data: bytes) -> None:
        """Send now if the socket takes it, the rest as it drains. One frame is outstanding."""
        if not self._open:
            return
        if not self._unsent:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the reader sees the end
            if sent == len(data):
                return
            data = data[sent:]
            self._loop.add_writer(self._sock, self._writable)
        self._unsent += data

    def _writable(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._unsent)
        del self._unsent[:sent]
        if not self._unsent:
            self._loop.remove_writer(self._sock)

    def _readable(self) -> None:
        self._take()

    def pause(self) -> None:
        """Receive nothing until `resume`, so that the far end has to wait. Idempotent."""
        if self._open and not self._paused:
            self._paused = True
            self._loop.remove_reader(self._sock)

    def resume(self) -> None:
        """Go on receiving. Idempotent."""
        if self._paused:
            self._paused = False
            if self._open:
                self._loop.add_reader(self._sock, self._readable)

    def drain(self) -> None:
        """Take in all that has already arrived (after the far process ended)."""
        while self._open and self._take():
            pass

    def _take(self) -> bool:
        """Receive once; False when there was nothing, or it is over."""
        try:
            count = self._sock.recv_into(_scratch)
        except BlockingIOError:
            return False
        except OSError:
            count = 0
        if not count:
            self._end()
            return False
        try:
            # Copied out before any callback: another channel may use the scratch from there.
            frames = list(self._frames.feed(_view[:count]))
        except FrameError:
            self._end()
            return False
        for frame in frames:
            self._on_frame(frame)
        return True

    def _end(self) -> None:
        if self._open:
            self.close()
            self._on_end()

    def close(self) -> None:
        """Stop and close the socket; `on_end` is not called any more."""
        if self._open:
            self._open = False
            self._loop.remove_reader(self._sock)
            self._loop.remove_writer(self._sock)
            self._sock.close()
