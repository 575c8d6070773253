"""JSON bodies, both ways: the body of json 1.0/1.1 and of rest-json.

Reading has two lanes. Where a body's shape needs no conversion (no renamed member, no textual
timestamp) msgspec decodes it straight into the modelled types, in C, dropping what the model does
not name; anything that lane refuses (a wrong type, a null, a NaN) is read again by closures, which
forgive what AWS forgives and otherwise say what AWS says. Writing is one closure per structure and
skips scalars altogether.

A `msgspec.Raw` in a result stands for a value that is JSON already and is copied as it is.
Source: https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html
"""

from collections.abc import Callable, Iterable
from math import isfinite
from typing import Any, TypedDict, cast

import msgspec

from lambent.wire.model import Member, Shape
from lambent.wire.tree import TreeReaders, TreeWriters
from lambent.wire.values import (
    DEPTH_MAX,
    SPECIAL_FLOATS,
    Unparsable,
    Wire,
    finite_seconds,
    format_blob,
    format_float,
    parse_blob,
    parse_timestamp,
    text_formatter,
    unix_seconds,
)

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_SCALARS: dict[str, Any] = {
    "string": str,
    "character": str,
    "integer": int,
    "long": int,
    "float": float,
    "double": float,
    "boolean": bool,
    "blob": bytes,
    "timestamp": int | float,
}
_typed_dict = cast(Any, TypedDict)


def decode(data: bytes) -> Wire:
    """Any JSON value; Unparsable when it is not one or nests too deep."""
    try:
        return _decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Unparsable("Unable to parse the JSON body") from error


def check_depth(value: Wire) -> None:
    """Unparsable when `value` nests deeper than DEPTH_MAX; no recursion of its own."""
    level = [value]
    for _ in range(DEPTH_MAX):
        inner: list[Wire] = []
        for item in level:
            if item.__class__ is dict:
                inner.extend(item.values())
            elif item.__class__ is list:
                inner.extend(item)
        if not inner:
            return
        level = inner
    raise Unparsable("The JSON body is nested too deeply")


def body_reader(members: Iterable[Member]) -> Callable[[bytes], dict[str, Wire]]:
    """Compile the reading of an object with these members; an empty body has none of them."""
    members = list(members)
    slow = JsonReaders().structure(members)
    recursive = any(m.shape.recursive for m in members)
    fast: Callable[[bytes], Wire] | None = None
    if not any(_converts(m, set()) for m in members):
        fast = msgspec.json.Decoder(_body_type(members)).decode

    def read(data: bytes) -> dict[str, Wire]:
        if not data:
            return {}
        value: dict[str, Wire] | None = None
        if fast is not None:
            try:
                value = fast(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                value = None
        if value is None:
            loose = decode(data)
            check_depth(loose)
            value = {} if loose is None else slow(loose)
        elif recursive and data.count(b"{") + data.count(b"[") > DEPTH_MAX:
            check_depth(value)
        return value

    return read


def value_reader(member: Member) -> Callable[[bytes], Wire]:
    """Compile the reading of a body that is one value: a payload member."""
    convert = JsonReaders().of(member)

    def read(data: bytes) -> Wire:
        loose = decode(data)
        check_depth(loose)
        return None if loose is None else convert(loose)

    return read


# --- the fast lane -------------------------------------------------------------------------------


def _converts(member: Member, seen: set[str]) -> bool:
    """Whether a value needs more than its type checked."""
    shape = member.shape
    if shape.type == "timestamp":
        return member.timestamp_format.lower() not in ("", "unixtimestamp")
    if member.location_name not in ("", member.name) or shape.name in seen:
        # A renamed element of a list means nothing in JSON, a renamed member does.
        return bool(member.name) and member.location_name not in ("", member.name)
    seen.add(shape.name)
    if shape.type == "structure":
        return any(_converts(m, seen) for m in shape.members.values())
    if shape.type == "list":
        return _converts(shape.member, seen)
    return shape.type == "map" and _converts(shape.value, seen)


def _body_type(members: Iterable[Member]) -> Any:
    known: dict[str, Any] = {}
    body = _typed_dict("Body", {}, total=False)
    body.__annotations__ = {m.name: _type_of(m.shape, known) for m in members}
    return body


def _type_of(shape: Shape, known: dict[str, Any]) -> Any:
    if shape.raw.document:
        return Any
    if shape.type == "list":
        return list[_type_of(shape.member.shape, known)]  # type: ignore[misc]  # made at run time
    if shape.type == "map":
        return dict[str, _type_of(shape.value.shape, known)]  # type: ignore[misc]
    if shape.type != "structure":
        return _SCALARS[shape.type]
    found = known.get(shape.name)
    if found is None:
        found = known[shape.name] = _typed_dict(shape.name, {}, total=False)
        found.__annotations__ = {
            name: _type_of(m.shape, known) for name, m in shape.members.items()
        }
    return found


# --- scalars, and the slow lane ------------------------------------------------------------------


class JsonReaders(TreeReaders):
    """The slow lane: blobs are base64, timestamps numbers or text."""

    def blob(self, value: Wire) -> Wire:
        """Base64 text."""
        return parse_blob(value) if value.__class__ is str else self.refuse(value, "Blob")

    def timestamp(self, value: Wire) -> Wire:
        """Seconds since the epoch, or a date as text."""
        if value.__class__ is str:
            return parse_timestamp(value)
        if value.__class__ is int or value.__class__ is float:
            return finite_seconds(value)
        return self.refuse(value, "Timestamp")

    def double(self, value: Wire) -> Wire:
        """A number, or the name of a special one."""
        if value.__class__ is str and value in SPECIAL_FLOATS:
            return SPECIAL_FLOATS[value]
        return super().double(value)


class JsonWriters(TreeWriters):
    """Blobs as base64, timestamps as numbers or text, special floats by name."""

    def blob(self, value: Wire) -> Wire:
        """Base64 text."""
        return format_blob(value)

    def double(self, value: Wire) -> Wire:
        """A number, or the name of a special one."""
        return value if isfinite(value) else format_float(value)

    def timestamp(self, member: Member) -> Callable[[Wire], Wire]:
        """Seconds since the epoch unless the model asks for text."""
        if member.timestamp_format.lower() in ("", "unixtimestamp"):
            return unix_seconds
        return text_formatter("timestamp", member.timestamp_format)


def body_writer(members: Iterable[Member]) -> Callable[[Wire], Wire]:
    """Compile the writing of a structure as a JSON-able object: what it names, and no more."""
    return JsonWriters().structure(members)


def value_writer(member: Member) -> Callable[[Wire], Wire]:
    """Compile the writing of one value as something JSON-able."""
    return JsonWriters().of(member) or (lambda value: value)
