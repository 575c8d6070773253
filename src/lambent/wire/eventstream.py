"""Event streams: `application/vnd.amazon.eventstream` frames, both ways.

A frame is a prelude (total length, headers' length, CRC), typed headers, a payload and a CRC over
all of it. Out: a modelled stream member is an async iterator of one-key dicts
(`{"PayloadChunk": {"Payload": b"..."}}`); an AwsError raised by that iterator becomes an exception
frame, by its modelled name where the stream models it, and ends the stream. In: `frames` decodes.
Source: https://smithy.io/2.0/aws/amazon-eventstream.html
"""

import struct
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.wire.model import Member, Shape
from lambent.wire.values import Unparsable, Wire

CONTENT_TYPE = "application/vnd.amazon.eventstream"
FRAME_MAX = 24 * 1024 * 1024
"""Bytes in one frame. Source: https://smithy.io/2.0/aws/amazon-eventstream.html"""

Header = bool | int | bytes | str | float
EncodeBody = Callable[[Member], Callable[[Wire], bytes]]


class Frame(Struct, frozen=True):
    """One decoded frame; timestamp headers are seconds since the epoch."""

    headers: Mapping[str, Header]
    payload: bytes


def encode_frame(headers: Mapping[str, Header], payload: bytes) -> bytes:
    """One frame. Booleans, 64-bit integers, bytes and texts may be headers."""
    packed = b"".join(_pack_header(name, value) for name, value in headers.items())
    prelude = struct.pack(">II", len(packed) + len(payload) + 16, len(packed))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + packed + payload
    return body + struct.pack(">I", zlib.crc32(body))


def _pack_header(name: str, value: Header) -> bytes:
    head = bytes((len(name),)) + name.encode("ascii")
    if isinstance(value, bool):
        return head + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        return head + struct.pack(">Bq", 5, value)
    if isinstance(value, float):
        return head + struct.pack(">Bq", 8, round(value * 1000))
    data = value.encode() if isinstance(value, str) else value
    return head + struct.pack(">BH", 7 if isinstance(value, str) else 6, len(data)) + data


def frames(data: bytes) -> Iterator[Frame]:
    """Every frame of `data`; Unparsable when a length or a checksum is wrong."""
    position = 0
    while position < len(data):
        frame, position = _take_frame(data, position)
        yield frame


def _take_frame(data: bytes, start: int) -> tuple[Frame, int]:
    if len(data) - start < 16:
        raise Unparsable("An event stream frame is truncated")
    total, headers_length, prelude_crc = struct.unpack_from(">III", data, start)
    end = start + total
    if zlib.crc32(data[start : start + 8]) != prelude_crc:
        raise Unparsable("An event stream prelude has a wrong checksum")
    if total < 16 + headers_length or total > FRAME_MAX or end > len(data):
        raise Unparsable("An event stream frame has a wrong length")
    (crc,) = struct.unpack_from(">I", data, end - 4)
    if zlib.crc32(data[start : end - 4]) != crc:
        raise Unparsable("An event stream frame has a wrong checksum")
    split = start + 12 + headers_length
    try:
        headers = dict(_unpack_headers(data[start + 12 : split]))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise Unparsable("An event stream frame has malformed headers") from error
    return Frame(headers, data[split : end - 4]), end


_FIXED = {2: ">b", 3: ">h", 4: ">i", 5: ">q", 8: ">q"}


def _unpack_headers(data: bytes) -> Iterator[tuple[str, Header]]:
    position = 0
    while position < len(data):
        start = position + 1
        position = start + data[position] + 1
        name, kind = data[start : position - 1].decode("ascii"), data[position - 1]
        if kind in (0, 1):
            yield name, kind == 0
        elif kind in _FIXED:
            (number,) = struct.unpack_from(_FIXED[kind], data, position)
            position += struct.calcsize(_FIXED[kind])
            yield name, number / 1000 if kind == 8 else number
        elif kind in (6, 7):
            (length,) = struct.unpack_from(">H", data, position)
            value = data[position + 2 : position + 2 + length]
            position += 2 + length
            yield name, value.decode() if kind == 7 else value
        elif kind == 9:
            yield name, data[position : position + 16]
            position += 16
        else:
            raise Unparsable("An event stream header has an unknown type")
    if position != len(data):
        raise Unparsable("An event stream frame has malformed headers")


def initial_response(content_type: str, payload: bytes) -> bytes:
    """The first frame of an RPC protocol's stream: the output's other members."""
    return encode_frame(_event_headers("event", "initial-response", content_type), payload)


def _event_headers(kind: str, name: str, content_type: str) -> dict[str, Header]:
    headers: dict[str, Header] = {":message-type": kind, f":{kind}-type": name}
    if content_type:
        headers[":content-type"] = content_type
    return headers


class EventWriter:
    """Writes one modelled stream; `encode_body` compiles a structure into the protocol's bytes."""

    def __init__(self, stream: Shape, content_type: str, encode_body: EncodeBody) -> None:
        self._content_type = content_type
        self._writers = {
            name: self._event(member, encode_body) for name, member in stream.members.items()
        }
        self._exceptions = {
            code: (name, member.shape)
            for name, member in stream.members.items()
            if member.shape.raw.exception
            for code in (member.shape.name, name)
        }

    def _event(self, member: Member, encode_body: EncodeBody) -> Callable[[Wire], bytes]:
        shape = member.shape
        kind = "exception" if shape.raw.exception else "event"
        in_headers = [m for m in shape.members.values() if m.ref.eventheader]
        payload = next((m for m in shape.members.values() if m.ref.eventpayload), None)
        bare = payload is not None and payload.shape.type in ("blob", "string")
        content_type = self._content_type
        if payload is not None and bare:
            content_type = (
                "application/octet-stream" if payload.shape.type == "blob" else "text/plain"
            )
        encode = (lambda value: value) if bare else encode_body(payload or member)

        def write(value: Wire) -> bytes:
            headers = _event_headers(kind, member.name, content_type)
            for header in in_headers:
                if value.get(header.name) is not None:
                    item = value[header.name]
                    headers[header.wire_name] = (
                        float(item) if header.shape.type == "timestamp" else item
                    )
            if payload is None:
                return encode_frame(headers, encode(value))
            item = value.get(payload.name)
            data = b"" if item is None else encode(item)
            return encode_frame(headers, data.encode() if isinstance(data, str) else data)

        return write

    def write(self, event: Mapping[str, Any]) -> bytes:
        """The frame of one event: `{member: value}`."""
        ((name, value),) = event.items()
        return self._writers[name](value)

    def write_error(self, error: AwsError) -> bytes:
        """The frame that ends a stream with an error."""
        found = self._exceptions.get(error.code)
        if found is None:
            headers: dict[str, Header] = {":message-type": "error", ":error-code": error.code}
            return encode_frame(headers | {":error-message": error.message or ""}, b"")
        name, shape = found
        message = next((m for m in shape.members if m.lower() == "message"), "message")
        fields = {message: error.message} | error.fields
        return self._writers[name](fields)

    async def frames(
        self, events: AsyncIterator[Mapping[str, Any]], first: bytes = b""
    ) -> AsyncIterator[bytes]:
        """The stream as frames, after `first`; an AwsError of `events` is its last frame."""
        if first:
            yield first
        try:
            async for event in events:
                yield self.write(event)
        except AwsError as error:
            yield self.write_error(error)
