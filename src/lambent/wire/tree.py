"""Decoded trees (dicts, lists and scalars) to modelled values and back: what JSON and CBOR share.

A reader takes what a decoder made of the body and checks it against the shape, member by member,
with AWS's texts for what does not fit; a writer keeps what the shape names and spells the scalars.
Both are compiled: structures are closures over a table of their members, memoised by shape so
that recursive shapes work.

Invariant: a null member is an absent member; a null in a list or map stays, for sparse ones.
"""

from collections.abc import Callable, Iterable
from math import isfinite
from typing import NoReturn

import msgspec

from lambent.wire.model import Member
from lambent.wire.values import Unparsable, Wire

Convert = Callable[[Wire], Wire]


class TreeReaders:
    """Compiles readers; a subclass says how blobs, timestamps and floats are spelt."""

    def __init__(self) -> None:
        self._known: dict[str, Convert] = {}

    def structure(self, members: Iterable[Member], name: str = "") -> Convert:
        """Compile the reading of an object with these members."""
        table: dict[str, tuple[str, Convert]] = {}

        def read(value: Wire) -> Wire:
            if value.__class__ is not dict:
                self.refuse(value, "structure")
            found = {}
            for key, item in value.items():
                entry = table.get(key)
                if entry is not None and item is not None:
                    found[entry[0]] = entry[1](item)
            return found

        if name:
            self._known[name] = read
        for member in members:
            table[member.wire_name] = (member.name, self.of(member))
        return read

    def of(self, member: Member) -> Convert:
        """Compile the reading of one value."""
        shape = member.shape
        if shape.raw.document:
            return lambda value: value
        if shape.type == "structure":
            found = self._known.get(shape.name)
            return found or self.structure(shape.members.values(), shape.name)
        if shape.type == "list":
            return self._list(self.of(shape.member))
        if shape.type == "map":
            return self._map(self.of(shape.value))
        return self._scalar(shape.type)

    def _scalar(self, shape_type: str) -> Convert:
        scalars: dict[str, Convert] = {
            "string": self._string,
            "character": self._string,
            "integer": lambda value: self._integer(value, "Integer"),
            "long": lambda value: self._integer(value, "Long"),
            "float": self.double,
            "double": self.double,
            "boolean": self._boolean,
            "blob": self.blob,
            "timestamp": self.timestamp,
        }
        return scalars[shape_type]

    def _list(self, element: Convert) -> Convert:
        def read(value: Wire) -> Wire:
            if value.__class__ is not list:
                self.refuse(value, "list")
            return [None if item is None else element(item) for item in value]

        return read

    def _map(self, element: Convert) -> Convert:
        def read(value: Wire) -> Wire:
            if value.__class__ is not dict:
                self.refuse(value, "map")
            found = {}
            for key, item in value.items():
                if key.__class__ is not str:
                    self.refuse(key, "String")
                found[key] = None if item is None else element(item)
            return found

        return read

    def _string(self, value: Wire) -> Wire:
        return value if value.__class__ is str else self.refuse(value, "String")

    def _boolean(self, value: Wire) -> Wire:
        return value if value.__class__ is bool else self.refuse(value, "Boolean")

    def _integer(self, value: Wire, wanted: str) -> Wire:
        if value.__class__ is int:
            return value
        if value.__class__ is float and isfinite(value) and value == int(value):
            return int(value)
        return self.refuse(value, wanted)

    def double(self, value: Wire) -> Wire:
        """A number."""
        if value.__class__ is float:
            return value
        if value.__class__ is int:
            try:
                return float(value)
            except OverflowError as error:
                raise Unparsable("NUMBER_VALUE can not be converted to a Double") from error
        return self.refuse(value, "Double")

    def blob(self, value: Wire) -> Wire:
        """Bytes."""
        return value if value.__class__ is bytes else self.refuse(value, "Blob")

    def timestamp(self, value: Wire) -> Wire:
        """Seconds since the epoch."""
        raise NotImplementedError

    def refuse(self, value: Wire, wanted: str) -> NoReturn:
        """Raise Unparsable in AWS's words."""
        raise Unparsable(_refusal(value, wanted))


def _refusal(value: Wire, wanted: str) -> str:
    if isinstance(value, list):
        return "Start of list found where not expected"
    if isinstance(value, dict):
        return "Start of structure or map found where not expected."
    if wanted in ("structure", "list", "map"):
        return f"Expected {wanted} or null"
    if isinstance(value, bool):
        token = "TRUE_VALUE" if value else "FALSE_VALUE"
    else:
        token = "STRING_VALUE" if isinstance(value, str) else "NUMBER_VALUE"
    article = "an" if wanted[0] in "AEIOU" else "a"
    return f"{token} can not be converted to {article} {wanted}"


class TreeWriters:
    """Compiles writers; a subclass says how blobs, timestamps and floats are spelt."""

    def __init__(self) -> None:
        self._known: dict[str, Convert] = {}

    def structure(self, members: Iterable[Member], name: str = "") -> Convert:
        """Compile the writing of a structure: the members it names, and no more."""
        table: dict[str, tuple[str, Convert | None]] = {}

        def write(value: Wire) -> Wire:
            if value.__class__ is msgspec.Raw:
                return value
            found = {}
            for key, item in value.items():
                entry = table.get(key)
                if entry is not None and item is not None:
                    found[entry[0]] = item if entry[1] is None else entry[1](item)
            return found

        if name:
            self._known[name] = write
        for member in members:
            table[member.name] = (member.wire_name, self.of(member))
        return write

    def of(self, member: Member) -> Convert | None:
        """Compile the writing of one value; None where it is written as it is."""
        shape = member.shape
        if shape.raw.document:
            return None
        if shape.type == "structure":
            found = self._known.get(shape.name)
            return found or self.structure(shape.members.values(), shape.name)
        if shape.type in ("list", "map"):
            inner = self.of(shape.member if shape.type == "list" else shape.value)
            if inner is None:
                return None
            return _list_writer(inner) if shape.type == "list" else _map_writer(inner)
        if shape.type == "timestamp":
            return self.timestamp(member)
        if shape.type == "blob":
            return self.blob
        return self.double if shape.type in ("float", "double") else None

    def blob(self, value: Wire) -> Wire:
        """Bytes."""
        return value

    def double(self, value: Wire) -> Wire:
        """A number."""
        return float(value)

    def timestamp(self, member: Member) -> Convert:
        """Compile the writing of a timestamp."""
        raise NotImplementedError


def _list_writer(inner: Convert) -> Convert:
    def write(value: Wire) -> Wire:
        if value.__class__ is msgspec.Raw:
            return value
        return [None if item is None else inner(item) for item in value]

    return write


def _map_writer(inner: Convert) -> Convert:
    def write(value: Wire) -> Wire:
        if value.__class__ is msgspec.Raw:
            return value
        return {key: None if item is None else inner(item) for key, item in value.items()}

    return write
