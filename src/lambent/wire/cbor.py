"""CBOR bodies, both ways: Smithy's rpc-v2-cbor, and the CBOR form of the JSON protocol.

cbor2 decodes in C but knows many tags that no AWS protocol uses and that a hostile caller would
(shared references make cycles, tag 35 compiles a regular expression): all of them are refused but
for 1, the timestamp, whose number is taken as it is. The CBOR form of the JSON protocol, which
AWS's Java SDK speaks to Kinesis, differs only in that timestamps count milliseconds.
Source: https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
"""

from collections.abc import Callable, Iterable

import cbor2

from lambent.wire.model import Member
from lambent.wire.tree import TreeReaders, TreeWriters
from lambent.wire.values import DEPTH_MAX, Unparsable, Wire, finite_seconds, unix_seconds

_KNOWN_TAGS = (0, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261)
_RARE_TAGS = (1004, 43000, 55799)


def _refuse(*_args: object) -> Wire:
    raise Unparsable("The CBOR body carries a tag that the protocol does not use")


_SEMANTIC = dict.fromkeys((*_KNOWN_TAGS, *_RARE_TAGS), _refuse) | {
    1: lambda value, _immutable: value
}


def decode(data: bytes) -> Wire:
    """Any CBOR value; Unparsable when it is not one, nests too deep or carries foreign tags."""
    try:
        return cbor2.loads(
            data,
            tag_hook=_refuse,
            semantic_decoders=_SEMANTIC,
            max_depth=DEPTH_MAX,
            strict_hashable_types=True,
        )
    except (cbor2.CBORDecodeError, RecursionError, MemoryError, ValueError, TypeError) as error:
        raise Unparsable("Unable to parse the CBOR body") from error


def encode(value: Wire) -> bytes:
    """A value made by `body_writer` as CBOR."""
    return bytes(cbor2.dumps(value))


class CborReaders(TreeReaders):
    """Blobs are bytes; timestamps count `ticks_per_s` ticks a second."""

    def __init__(self, ticks_per_s: int = 1) -> None:
        super().__init__()
        self._ticks_per_s = ticks_per_s

    def timestamp(self, value: Wire) -> Wire:
        """A number of ticks since the epoch."""
        if value.__class__ is int or value.__class__ is float:
            return finite_seconds(value if self._ticks_per_s == 1 else value / self._ticks_per_s)
        return self.refuse(value, "Timestamp")


class CborWriters(TreeWriters):
    """Blobs as bytes; timestamps tagged, counting `ticks_per_s` ticks a second."""

    def __init__(self, ticks_per_s: int = 1) -> None:
        super().__init__()
        self._ticks_per_s = ticks_per_s

    def blob(self, value: Wire) -> Wire:
        """Bytes; a text's UTF-8."""
        return value.encode() if value.__class__ is str else value

    def timestamp(self, member: Member) -> Callable[[Wire], Wire]:  # noqa: ARG002 - all alike
        """A tagged number."""
        ticks_per_s = self._ticks_per_s
        if ticks_per_s == 1:
            return lambda value: cbor2.CBORTag(1, unix_seconds(value))
        return lambda value: cbor2.CBORTag(1, round(value * ticks_per_s))


def body_reader(members: Iterable[Member], ticks_per_s: int = 1) -> Callable[[bytes], Wire]:
    """Compile the reading of a map with these members; an empty body has none of them."""
    convert = CborReaders(ticks_per_s).structure(members)
    return lambda data: convert(decode(data)) if data else {}


def body_writer(members: Iterable[Member], ticks_per_s: int = 1) -> Callable[[Wire], Wire]:
    """Compile the writing of a structure as something that `encode` takes."""
    return CborWriters(ticks_per_s).structure(members)
