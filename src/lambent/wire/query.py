"""Forms: the requests of the query and ec2 protocols (their answers are XML: see `xml`).

A form is flat text whose keys are paths (`Entries.member.1.Id`); it is folded into a tree once and
the tree is read by closures. Both spellings of a flattened list (the member's name, the element's)
are understood, because SDKs of different ages send either.
Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from lambent.wire.model import Member, Shape
from lambent.wire.values import DEPTH_MAX, MEMBERS_MAX, Unparsable, Wire, text_parser

Tree = dict[str, Any]
ReadNode = Callable[[Any], Wire]
QUERIES_REMEMBERED = 1024
QUERY_REMEMBERED_LENGTH = 2048
_ESCAPED = re.compile("(?:%[0-9A-Fa-f]{2})+")


def _unescape(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("%", "")).decode()


def unquote(text: str) -> str:
    """Percent-decoded UTF-8; a `%` that escapes nothing stays. Unparsable if it is not UTF-8."""
    if "%" not in text:
        return text
    try:
        return _ESCAPED.sub(_unescape, text)
    except UnicodeDecodeError as error:
        raise Unparsable("The request is not valid UTF-8") from error


def pairs(text: str) -> Iterator[tuple[str, str]]:
    """The parameters of a form or a query string, in order; a `+` is a space."""
    parts = text.split("&", MEMBERS_MAX + 1)
    if len(parts) > MEMBERS_MAX:
        raise Unparsable("The request has too many parameters")
    for part in parts:
        if part:
            key, _, value = part.partition("=")
            if "+" in part:
                key, value = key.replace("+", " "), value.replace("+", " ")
            yield unquote(key), unquote(value)


def query_values(text: str) -> Mapping[str, list[str]]:
    """The parameters of a query string by name; shared, not to be changed.

    Routing, parsing and signatures read the same query, and clients send the same one again.
    """
    return _remembered(text) if len(text) <= QUERY_REMEMBERED_LENGTH else _values(text)


def _values(text: str) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, value in pairs(text):
        found.setdefault(key, []).append(value)
    return found


_remembered = lru_cache(QUERIES_REMEMBERED)(_values)


def fold(form: Mapping[str, str]) -> Tree:
    """The form as a tree; Unparsable when a key is both a value and a path."""
    tree: Tree = {}
    for key, value in form.items():
        if "." not in key:
            if key not in tree:
                tree[key] = value
            continue
        *path, last = key.split(".", DEPTH_MAX * 2)
        if "." in last:
            raise Unparsable("The request is nested too deeply")
        node = tree
        for name in path:
            inner = node.get(name)
            if not inner:
                inner = node[name] = {}
            elif inner.__class__ is str:
                raise Unparsable(f"Duplicate parameter {key}")
            node = inner
        node[last] = value
    return tree


class FormReaders:
    """Compiles readers of folded forms; `ec2` names members and lists in that protocol's way."""

    def __init__(self, *, ec2: bool = False, renames: Mapping[str, str] | None = None) -> None:
        self._ec2, self._renames = ec2, renames or {}
        self._known: dict[str, ReadNode] = {}

    def structure(self, members: Iterable[Member], name: str = "") -> ReadNode:
        """Compile the reading of a subtree with these members."""
        table: dict[str, tuple[str, ReadNode]] = {}

        def read(node: Any) -> Wire:
            if node.__class__ is str:
                if node:
                    raise Unparsable("Unexpected value where a structure belongs")
                return {}
            found = {}
            for key, inner in node.items():
                entry = table.get(key)
                if entry is not None:
                    found[entry[0]] = entry[1](inner)
            return found

        if name:
            self._known[name] = read
        for member in members:
            entry = (member.name, self.of(member))
            for key in self._names(member):
                table.setdefault(key, entry)
        return read

    def _names(self, member: Member) -> Iterator[str]:
        if self._ec2:
            name = member.ref.query_name or member.wire_name
            yield name if member.ref.query_name else name[0].upper() + name[1:]
            return
        if member.shape.type in ("list", "map") and member.flattened:
            if member.shape.type == "list" and member.shape.member.location_name:
                yield member.shape.member.location_name
            if member.name in self._renames:
                yield self._renames[member.name]
        yield member.wire_name

    def of(self, member: Member) -> ReadNode:
        """Compile the reading of one member's subtree."""
        shape = member.shape
        if shape.type == "structure":
            found = self._known.get(shape.name)
            return found or self.structure(shape.members.values(), shape.name)
        if shape.type == "list":
            return self._list(member)
        if shape.type == "map":
            return self._map(shape, member.flattened)
        convert = text_parser(shape.type)

        def read(node: Any) -> Wire:
            if node.__class__ is not str:
                raise Unparsable("Unexpected structure where a value belongs")
            return node if convert is None else convert(node)

        return read

    def _list(self, member: Member) -> ReadNode:
        element = self.of(member.shape.member)
        flattened = self._ec2 or member.flattened
        name = member.shape.member.location_name or "member"

        def read(node: Any) -> Wire:
            if not flattened and node.__class__ is dict and name in node:
                node = node[name]
            return [element(inner) for inner in _numbered(node)]

        return read

    def _map(self, shape: Shape, flattened: bool) -> ReadNode:
        key_name = shape.key.location_name or "key"
        value_name = shape.value.location_name or "value"
        convert = self.of(shape.value)

        def read(node: Any) -> Wire:
            if not flattened and node.__class__ is dict and "entry" in node:
                node = node["entry"]
            found = {}
            for inner in _numbered(node):
                key = inner.get(key_name) if inner.__class__ is dict else None
                if key.__class__ is not str:
                    raise Unparsable("A map's entry has no key")
                value = inner.get(value_name)
                found[key] = None if value is None else convert(value)
            return found

        return read


def _numbered(node: Any) -> list[Any]:
    if node.__class__ is str:
        if node:
            raise Unparsable("Unexpected value where a list belongs")
        return []
    if not all(key.isascii() and key.isdigit() and len(key) < 10 for key in node):
        raise Unparsable("Unexpected key in a list")
    return [node[key] for key in sorted(node, key=int)]
