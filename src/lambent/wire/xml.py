"""XML bodies, both ways: rest-xml requests and the answers of rest-xml, query and ec2.

Reading goes through expat into a light tree (tag without prefix, attributes, children, text) and
then through closures by shape. A document type declaration is refused before anything is expanded,
depth and the number of elements are bounded: hostile XML costs no more than its own length.
Writing appends text to a list; nothing builds a tree.
Source: https://smithy.io/2.0/aws/protocols/aws-restxml-protocol.html
"""

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Protocol
from xml.parsers import expat

from lambent.wire.model import Member, Shape
from lambent.wire.values import (
    DEPTH_MAX,
    MEMBERS_MAX,
    Unparsable,
    Wire,
    text_formatter,
    text_parser,
)

Write = Callable[[list[str], Wire], None]
MALFORMED = (
    "The XML you provided was not well-formed or did not validate against our published schema"
)


class Node:
    """One element: `tag` without its prefix, `text` of its own, `children` in order."""

    __slots__ = ("attributes", "children", "parts", "tag")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Node] = []
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        """The character data directly inside this element."""
        return "".join(self.parts)


class _Builder:
    """Builds the tree from expat's events, within bounds."""

    def __init__(self) -> None:
        self.root = Node("", {})
        self._open = [self.root]
        self._count = 0

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._count += 1
        if len(self._open) > DEPTH_MAX or self._count > MEMBERS_MAX:
            raise Unparsable(MALFORMED)
        node = Node(tag.rpartition(":")[2], attributes)
        self._open[-1].children.append(node)
        self._open.append(node)

    def end(self, _tag: str) -> None:
        self._open.pop()

    def text(self, data: str) -> None:
        self._open[-1].parts.append(data)

    def refuse(self, *_args: object) -> None:
        raise Unparsable(MALFORMED)


def parse(data: bytes) -> Node:
    """The root element; Unparsable when it is not well-formed, has a DTD, or is out of bounds."""
    builder = _Builder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = builder.refuse
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise Unparsable(MALFORMED) from error
    return builder.root.children[0]


# --- reading -------------------------------------------------------------------------------------


class ReadNodes(Protocol):
    """Reads a value from the elements that carry it (several only for flattened values)."""

    def __call__(self, nodes: list[Node]) -> Wire:
        """The value."""


def structure_reader(members: Iterable[Member]) -> Callable[[Node], dict[str, Wire]]:
    """Compile the reading of an element's children and attributes as these members."""
    return _structure_reader(members, {}, "")


def reader(member: Member, known: dict[str, Callable[[Node], dict[str, Wire]]]) -> ReadNodes:
    """Compile the reading of one member's elements."""
    shape = member.shape
    if shape.type == "structure":
        found = known.get(shape.name)
        inner = found or _structure_reader(shape.members.values(), known, shape.name)
        return lambda nodes: inner(nodes[0])
    if shape.type == "list":
        return _list_reader(reader(shape.member, known), member.flattened)
    if shape.type == "map":
        return _map_reader(shape, member.flattened, known)
    convert = text_parser(shape.type)
    if convert is None:
        return lambda nodes: nodes[0].text
    return lambda nodes: convert(nodes[0].text.strip())


def _structure_reader(
    members: Iterable[Member], known: dict[str, Callable[[Node], dict[str, Wire]]], name: str
) -> Callable[[Node], dict[str, Wire]]:
    elements: dict[str, tuple[str, ReadNodes]] = {}
    attributes: dict[str, str] = {}

    def read(node: Node) -> dict[str, Wire]:
        groups: dict[str, list[Node]] = {}
        for child in node.children:
            if child.tag in elements:
                groups.setdefault(child.tag, []).append(child)
        found = {}
        for tag, nodes in groups.items():
            member_name, convert = elements[tag]
            found[member_name] = convert(nodes)
        for wire_name, member_name in attributes.items():
            text = node.attributes.get(wire_name)
            if text is not None:
                found[member_name] = text
        return found

    if name:
        known[name] = read
    for member in members:
        if member.ref.xml_attribute:
            attributes[member.wire_name] = member.name
        else:
            elements[member.wire_name] = (member.name, reader(member, known))
    return read


def _list_reader(element: ReadNodes, flattened: bool) -> ReadNodes:
    if flattened:
        return lambda nodes: [element([node]) for node in nodes]
    return lambda nodes: [element([child]) for child in nodes[0].children]


def _map_reader(
    shape: Shape, flattened: bool, known: dict[str, Callable[[Node], dict[str, Wire]]]
) -> ReadNodes:
    key_name = shape.key.location_name or "key"
    value_name = shape.value.location_name or "value"
    convert = reader(shape.value, known)

    def read(nodes: list[Node]) -> Wire:
        found = {}
        for entry in nodes if flattened else nodes[0].children:
            key, value = None, None
            for child in entry.children:
                if child.tag == key_name:
                    key = child.text
                elif child.tag == value_name:
                    value = convert([child])
            if key is None:
                raise Unparsable(MALFORMED)
            found[key] = value
        return found

    return read


# --- writing -------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Text as character data; a carriage return would otherwise read back as a line feed."""
    if "&" in text or "<" in text or ">" in text or "\r" in text or '"' in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        text = text.replace('"', "&quot;").replace("\r", "&#xD;")
    return text


class XmlWriters:
    """Compiles writers; `name_of` names the elements of a structure's members."""

    def __init__(self, name_of: Callable[[Member], str] = attrgetter("wire_name")) -> None:
        self._name_of = name_of
        self._known: dict[str, Write] = {}

    def children(self, members: Iterable[Member]) -> Write:
        """Compile the writing of a structure's children, without an element around them."""
        return self._members([m for m in members if not m.ref.xml_attribute], "")

    def element(self, member: Member, tag: str) -> Write:
        """Compile the writing of one value as the element(s) `tag`."""
        shape = member.shape
        namespace = _namespace(member)
        if shape.type == "structure":
            return self._structure(member, tag, namespace)
        if shape.type == "list":
            return self._list(member, tag, namespace)
        if shape.type == "map":
            return self._map(member, tag, namespace)
        return _scalar(member, f"<{tag}{namespace}>", f"</{tag}>")

    def _members(self, members: Iterable[Member], name: str) -> Write:
        table: dict[str, Write] = {}

        def write(out: list[str], value: Wire) -> None:
            for key, item in value.items():
                inner = table.get(key)
                if inner is not None and item is not None:
                    inner(out, item)

        if name:
            self._known[name] = write
        for member in members:
            table[member.name] = self.element(member, self._name_of(member))
        return write

    def _structure(self, member: Member, tag: str, namespace: str) -> Write:
        shape = member.shape
        close = f"</{tag}>"
        attributes = [m for m in shape.members.values() if m.ref.xml_attribute]
        inner = self._known.get(shape.name)
        if inner is None:
            plain = [m for m in shape.members.values() if not m.ref.xml_attribute]
            inner = self._members(plain, shape.name)
        content = inner

        def write(out: list[str], value: Wire) -> None:
            out.append(f"<{tag}{namespace}")
            for attribute in attributes:
                text = value.get(attribute.name)
                if text is not None:
                    out.append(f' {attribute.wire_name}="{escape(text)}"')
            out.append(">")
            content(out, value)
            out.append(close)

        return write

    def _list(self, member: Member, tag: str, namespace: str) -> Write:
        element = member.shape.member
        if member.flattened:
            inner = self.element(element, tag)
            opening = closing = ""
        else:
            inner = self.element(element, element.location_name or "member")
            opening, closing = f"<{tag}{namespace}>", f"</{tag}>"

        def write(out: list[str], value: Wire) -> None:
            out.append(opening)
            for item in value:
                if item is not None:
                    inner(out, item)
            out.append(closing)

        return write

    def _map(self, member: Member, tag: str, namespace: str) -> Write:
        shape = member.shape
        key_tag = shape.key.location_name or "key"
        key = _scalar(shape.key, f"<{key_tag}{_namespace(shape.key)}>", f"</{key_tag}>")
        value_writer = self.element(shape.value, shape.value.location_name or "value")
        entry = tag if member.flattened else "entry"
        opening = "" if member.flattened else f"<{tag}{namespace}>"
        closing = "" if member.flattened else f"</{tag}>"

        def write(out: list[str], value: Wire) -> None:
            out.append(opening)
            for name, item in value.items():
                if item is not None:
                    out.append(f"<{entry}>")
                    key(out, name)
                    value_writer(out, item)
                    out.append(f"</{entry}>")
            out.append(closing)

        return write


def _namespace(member: Member) -> str:
    found = member.xml_namespace
    if found is None:
        return ""
    prefix, uri = found
    return f' xmlns{":" + prefix if prefix else ""}="{escape(uri)}"'


def _scalar(member: Member, opening: str, closing: str) -> Write:
    shape_type = member.shape.type
    if shape_type in ("string", "character"):
        return lambda out, value: out.append(f"{opening}{escape(value)}{closing}")
    convert = text_formatter(shape_type, member.timestamp_format or "iso8601")
    return lambda out, value: out.append(f"{opening}{convert(value)}{closing}")
