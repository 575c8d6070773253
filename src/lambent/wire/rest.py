"""HTTP bindings: what rest-json and rest-xml put into the path, the query, headers and the status.

Each operation is compiled into one reader and one writer. A reader walks the headers that came (a
dozen) rather than the members that might have come (forty, for S3), and leaves the body to the
format's compiler; a writer walks the result's members the same way.
Source: https://smithy.io/2.0/spec/http-bindings.html
"""

import re
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Protocol

from msgspec import Struct

from lambent.net import Body, Request, Response
from lambent.wire import json
from lambent.wire.eventstream import CONTENT_TYPE as EVENT_STREAM
from lambent.wire.eventstream import EventWriter
from lambent.wire.model import Member, Operation
from lambent.wire.query import query_values
from lambent.wire.values import (
    Stream,
    Unparsable,
    Wire,
    format_blob,
    parse_blob,
    text_formatter,
    text_parser,
)

Parse = Callable[[Mapping[str, str], Request, "bytes | Body"], dict[str, Wire]]
Serialize = Callable[[Mapping[str, Wire]], Response]
ReadText = Callable[[str], Wire]
_HEADER_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^",][^,]*|))\s*(?:,|$)')
_DATE_COMMA = re.compile(r",\s*(?=[A-Z][a-z]{2},)")
_LINE_BREAKS = re.compile(r"[\r\n\0]+")


class BodyFormat(Protocol):
    """How structures become bodies: JSON or XML."""

    content_type: str
    empty_body: bool
    """Whether an output without members in the body still has one (`{}`)."""
    media_types: Mapping[str, str]
    """The content type of a blob payload, by output shape, where it is not octet-stream."""

    def body_reader(self, operation: Operation) -> Callable[[bytes], dict[str, Wire]]:
        """Compile the reading of the input members that no header, label or query carries."""

    def payload_reader(self, member: Member) -> Callable[[bytes], Wire]:
        """Compile the reading of a body that is one member."""

    def body_writer(self, operation: Operation) -> Callable[[Mapping[str, Wire]], bytes]:
        """Compile the writing of the output members that no header carries."""

    def payload_writer(self, member: Member) -> Callable[[Wire], bytes]:
        """Compile the writing of a body that is one member."""


_IN_HEAD = frozenset({"header", "headers", "statusCode"})


def body_members(members: Iterable[Member]) -> list[Member]:
    """The input members that the body carries."""
    return [m for m in members if not m.location and not m.shape.raw.eventstream]


def answer_members(members: Iterable[Member]) -> list[Member]:
    """The output members that the body carries: labels and queries mean nothing there."""
    return [m for m in members if m.location not in _IN_HEAD and not m.shape.raw.eventstream]


# --- requests ------------------------------------------------------------------------------------


class _Bindings(Struct):
    labels: list[tuple[str, str, ReadText | None]]
    headers: dict[str, tuple[str, ReadText]]
    prefixes: list[tuple[str, str]]
    query: dict[str, tuple[str, Callable[[list[str]], Wire]]]
    query_map: Member | None


def compile_input(operation: Operation, body_format: BodyFormat) -> Parse:
    """Compile the reading of one operation's requests."""
    shape = operation.input_shape
    if shape is None:
        return lambda _labels, _request, _body: {}
    bound = _bindings(shape.members.values())
    read_body = _body_parser(operation, body_format)
    headers, prefixes, has_query = bound.headers, bound.prefixes, bound.query or bound.query_map

    def parse(labels: Mapping[str, str], request: Request, body: "bytes | Body") -> dict[str, Wire]:
        found = read_body(body)
        for label, name, convert in bound.labels:
            text = labels[label]
            found[name] = text if convert is None else convert(text)
        if has_query and request.query:
            _read_query(bound, query_values(request.query), found)
        if headers or prefixes:
            for key, text in request.headers.items():
                entry = headers.get(key)
                if entry is not None:
                    found[entry[0]] = entry[1](text)
                for prefix, name in prefixes:
                    if key.startswith(prefix) and entry is None:
                        found.setdefault(name, {})[key[len(prefix) :]] = text
        return found

    return parse


def _bindings(members: Iterable[Member]) -> _Bindings:
    bound = _Bindings([], {}, [], {}, None)
    for member in members:
        if member.location == "uri":
            convert = text_parser(member.shape.type)
            bound.labels.append((member.wire_name, member.name, convert))
        elif member.location == "header":
            bound.headers[member.wire_name.lower()] = (member.name, _header_reader(member))
        elif member.location == "headers":
            bound.prefixes.append((member.location_name.lower(), member.name))
        elif member.location == "querystring":
            if member.shape.type == "map":
                bound.query_map = member
            else:
                bound.query[member.wire_name] = (member.name, _query_reader(member))
    return bound


def _read_query(bound: _Bindings, values: Mapping[str, list[str]], found: dict[str, Wire]) -> None:
    for key, texts in values.items():
        entry = bound.query.get(key)
        if entry is not None:
            found[entry[0]] = entry[1](texts)
    member = bound.query_map
    if member is not None:
        lists = member.shape.value.shape.type == "list"
        found[member.name] = {
            key: list(texts) if lists else texts[0] for key, texts in values.items()
        }


def _query_reader(member: Member) -> Callable[[list[str]], Wire]:
    shape = member.shape
    if shape.type == "list":
        inner = text_parser(shape.member.shape.type)
        return lambda texts: list(texts) if inner is None else [inner(text) for text in texts]
    convert = text_parser(shape.type)
    return lambda texts: texts[0] if convert is None else convert(texts[0])


def _header_reader(member: Member) -> ReadText:
    shape = member.shape
    if member.ref.jsonvalue:
        return _read_json_header
    if shape.type == "list":
        inner = text_parser(shape.member.shape.type) or str
        split = _split_dates if shape.member.shape.type == "timestamp" else split_list
        return lambda text: [inner(item) for item in split(text)]
    convert = text_parser(shape.type)
    return str.strip if convert is None else lambda text: convert(text.strip())


def _read_json_header(text: str) -> Wire:
    try:
        return json.decode(parse_blob(text))
    except Base64Error as error:
        raise Unparsable("A header is not base64") from error


def split_list(text: str) -> list[str]:
    """The items of a header list; an item in double quotes may hold commas and `\\"`."""
    found = []
    position, text = 0, text.strip()
    while position < len(text):
        item = _HEADER_ITEM.match(text, position)
        if item is None or item.end() == position:
            raise Unparsable("A header list is malformed")
        quoted, plain = item.groups()
        found.append(plain.strip() if quoted is None else re.sub(r"\\(.)", r"\1", quoted))
        position = item.end()
    return found


def _split_dates(text: str) -> list[str]:
    dates = [item.strip() for item in _DATE_COMMA.split(text)]
    return dates if len(dates) > 1 or "GMT" in text else split_list(text)


def _body_parser(
    operation: Operation, body_format: BodyFormat
) -> Callable[["bytes | Body"], dict[str, Wire]]:
    shape = operation.input_shape
    assert shape is not None
    payload = shape.payload
    if payload is None:
        if not body_members(shape.members.values()):
            return lambda _body: {}
        read_members = body_format.body_reader(operation)
        return lambda body: read_members(whole(body))
    name = payload.name
    if payload.streaming or payload.shape.raw.eventstream:
        return lambda body: {name: body}
    if payload.shape.type in ("blob", "string") and not payload.shape.raw.enum:
        is_text = payload.shape.type == "string"
        return lambda body: {name: _text(body) if is_text else whole(body)} if body else {}
    if payload.shape.type == "string":
        return lambda body: {name: _text(body)} if body else {}
    read_payload = body_format.payload_reader(payload)

    def parse(body: "bytes | Body") -> dict[str, Wire]:
        value = read_payload(whole(body)) if body else None
        return {} if value is None else {name: value}

    return parse


def whole(body: "bytes | Body") -> bytes:
    """The body as bytes; only a streaming payload may be given as a `Body`."""
    assert isinstance(body, bytes), "this operation's body must be read before it is parsed"
    return body


def _text(body: "bytes | Body") -> str:
    try:
        return whole(body).decode()
    except UnicodeDecodeError as error:
        raise Unparsable("The body is not valid UTF-8") from error


# --- responses -----------------------------------------------------------------------------------

WriteHeader = Callable[[list[tuple[str, str]], Wire], None]


def header_writers(members: Iterable[Member]) -> dict[str, WriteHeader]:
    """Compile the writing of the members that headers carry, by member name."""
    found: dict[str, WriteHeader] = {}
    for member in members:
        if member.location == "header":
            found[member.name] = _header_writer(member)
        elif member.location == "headers":
            found[member.name] = _prefix_writer(member.location_name)
    return found


def _prefix_writer(prefix: str) -> WriteHeader:
    def write(headers: list[tuple[str, str]], value: Wire) -> None:
        for key, text in value.items():
            headers.append((prefix + key, one_line(text)))

    return write


def one_line(text: str) -> str:
    """Text that cannot end its header: line breaks become spaces."""
    return text if text.isprintable() else _LINE_BREAKS.sub(" ", text)


def _header_writer(member: Member) -> WriteHeader:
    name, shape = member.wire_name, member.shape
    if member.ref.jsonvalue:
        return lambda headers, value: headers.append((name, format_blob(json.encode(value))))
    if shape.type == "list":
        convert = _list_text(shape.member)
        return lambda headers, value: headers.append((name, convert(value))) if value else None
    if shape.type == "string":
        return lambda headers, value: headers.append((name, one_line(value)))
    text_of = text_formatter(shape.type, member.timestamp_format or "rfc822")
    return lambda headers, value: headers.append((name, text_of(value)))


def _list_text(element: Member) -> Callable[[Wire], str]:
    text_of = text_formatter(element.shape.type, element.timestamp_format or "rfc822")
    quotes = element.shape.type == "string"

    def convert(value: Wire) -> str:
        texts = [one_line(text_of(item)) for item in value if item is not None]
        if quotes:
            texts = [_quoted(text) if "," in text or '"' in text else text for text in texts]
        return ", ".join(texts)

    return convert


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def compile_output(operation: Operation, body_format: BodyFormat) -> Serialize:
    """Compile the writing of one operation's answers (without request ids)."""
    status = operation.raw.http.response_code
    shape = operation.output_shape
    if shape is None:
        return lambda _result: Response(status)
    writers = header_writers(shape.members.values())
    status_member = next((m.name for m in shape.members.values() if m.location == "statusCode"), "")
    length_member = next(
        (m.name for m in shape.members.values() if m.wire_name.lower() == "content-length"), ""
    )
    partial = next(
        (m.name for m in shape.members.values() if m.wire_name.lower() == "content-range"), ""
    )
    writers.pop(length_member, None)
    write_body = _body_serializer(operation, body_format)

    def serialize(result: Mapping[str, Wire]) -> Response:
        headers: list[tuple[str, str]] = []
        response = Response(status, headers)
        for name, value in result.items():
            write = writers.get(name)
            if write is not None and value is not None:
                write(headers, value)
        if status_member and result.get(status_member) is not None:
            response.status = result[status_member]
        if length_member:
            response.length = result.get(length_member)
        if partial and status == 200 and result.get(partial) is not None:
            response.status = 206  # what HTTP calls an answer with Content-Range; models do not
        write_body(response, result)
        return response

    return serialize


def _body_serializer(
    operation: Operation, body_format: BodyFormat
) -> Callable[[Response, Mapping[str, Wire]], None]:
    shape = operation.output_shape
    assert shape is not None
    payload = shape.payload
    if payload is None:
        if not (body_format.empty_body or answer_members(shape.members.values())):
            return lambda _response, _result: None
        return _members_serializer(operation, body_format)
    if payload.shape.raw.eventstream:
        return _events_serializer(payload, body_format)
    if payload.shape.type in ("blob", "string"):
        return _raw_serializer(payload, body_format.media_types.get(shape.name, ""))
    write_payload = body_format.payload_writer(payload)

    def serialize(response: Response, result: Mapping[str, Wire]) -> None:
        value = result.get(payload.name)
        if value is not None:
            response.body = write_payload(value)
            default_type(response, body_format.content_type)

    return serialize


def _members_serializer(
    operation: Operation, body_format: BodyFormat
) -> Callable[[Response, Mapping[str, Wire]], None]:
    write_members = body_format.body_writer(operation)

    def serialize(response: Response, result: Mapping[str, Wire]) -> None:
        response.length = None
        if response.status not in (204, 304):
            response.body = write_members(result)
            default_type(response, body_format.content_type)

    return serialize


def _raw_serializer(
    payload: Member, media_type: str
) -> Callable[[Response, Mapping[str, Wire]], None]:
    usual = "application/octet-stream" if payload.shape.type == "blob" else "text/plain"
    content_type = media_type or usual

    def serialize(response: Response, result: Mapping[str, Wire]) -> None:
        value = result.get(payload.name)
        if value is None:
            return
        if isinstance(value, Stream):
            response.body = value.chunks
            response.length = value.length if value.length is not None else response.length
        elif isinstance(value, bytes | str):
            response.body = value.encode() if isinstance(value, str) else value
            response.length = None
        else:
            response.body = value
        default_type(response, content_type)

    return serialize


def _events_serializer(
    payload: Member, body_format: BodyFormat
) -> Callable[[Response, Mapping[str, Wire]], None]:
    writer = EventWriter(payload.shape, body_format.content_type, body_format.payload_writer)

    def serialize(response: Response, result: Mapping[str, Any]) -> None:
        events: AsyncIterator[Mapping[str, Any]] | None = result.get(payload.name)
        if events is not None:
            response.body = writer.frames(events)
            default_type(response, EVENT_STREAM)

    return serialize


def default_type(response: Response, content_type: str) -> None:
    """Set Content-Type unless a member did."""
    for name, _ in response.headers:
        if name == "Content-Type" or name.lower() == "content-type":
            return
    response.headers.append(("Content-Type", content_type))
