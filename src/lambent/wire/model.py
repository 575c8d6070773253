"""Service models: botocore's data files read as data, without importing botocore's code.

Why not `botocore.model`: importing it costs 190 ms and 33 MB, more than the whole server may take
to be ready (docs/adr/0004). Here a model file is decoded once, typed, so that the documentation
(nine tenths of its bytes) never becomes Python objects; `Shape` and `Member` are made on demand
and memoised, and the compilers of this room walk them once per operation.

Invariants: a loaded model never changes; a `Shape` is one object per name and model.
Source: https://github.com/boto/botocore/blob/develop/botocore/model.py
"""

import gzip
from collections.abc import Mapping
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from lambent.wire.traits import DROPPED_TRAITS, DroppedTraits

Namespace = dict[str, str] | str | None


class Ref(msgspec.Struct, frozen=True, rename="camel"):
    """A reference to a shape, with the traits of the place that refers to it."""

    shape: str
    location: str = ""
    location_name: str = ""
    query_name: str = ""
    xml_namespace: Namespace = None
    timestamp_format: str = ""
    result_wrapper: str = ""
    xml_attribute: bool = False
    flattened: bool = False
    streaming: bool = False
    jsonvalue: bool = False
    eventpayload: bool = False
    eventheader: bool = False
    idempotency_token: bool = False
    host_label: bool = False
    deprecated: bool = False


class ErrorTraits(msgspec.Struct, frozen=True, rename="camel"):
    """How an error shape answers: its code where that differs from its name, its status."""

    code: str = ""
    http_status_code: int = 0
    sender_fault: bool = True


class _RawShape(msgspec.Struct, frozen=True, rename="camel"):
    type: str
    members: dict[str, Ref] = {}
    required: list[str] = []
    member: Ref | None = None
    key: Ref | None = None
    value: Ref | None = None
    enum: list[str] = []
    min: float | int | None = None
    max: float | int | None = None
    pattern: str = ""
    payload: str = ""
    location_name: str = ""
    xml_namespace: Namespace = None
    timestamp_format: str = ""
    flattened: bool = False
    streaming: bool = False
    sensitive: bool = False
    document: bool = False
    union: bool = False
    event: bool = False
    eventstream: bool = False
    exception: bool = False
    fault: bool = False
    error: ErrorTraits | None = None


class _Http(msgspec.Struct, frozen=True, rename="camel"):
    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class _RawOperation(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    http: _Http = _Http()
    input: Ref | None = None
    output: Ref | None = None
    errors: list[Ref] = []
    deprecated: bool = False
    idempotent: bool = False
    authtype: str = ""
    http_checksum: dict[str, Any] = {}


class _RawModel(msgspec.Struct, frozen=True):
    metadata: dict[str, Any]
    operations: dict[str, _RawOperation]
    shapes: dict[str, _RawShape] = {}


class Member:
    """One member of a structure (or a list's element, a map's key or value) and its traits."""

    __slots__ = ("name", "ref", "shape")

    def __init__(self, name: str, shape: "Shape", ref: Ref) -> None:
        self.name, self.shape, self.ref = name, shape, ref

    @property
    def location(self) -> str:
        """`header`, `headers`, `uri`, `querystring`, `statusCode`, or empty for the body."""
        return self.ref.location

    @property
    def location_name(self) -> str:
        """The modelled wire name; empty when the model gives none."""
        return self.ref.location_name

    @property
    def wire_name(self) -> str:
        """The wire name, which is the member's own name unless the model gives another."""
        return self.location_name or self.name

    @property
    def root_name(self) -> str:
        """The name of an XML document that carries this member alone."""
        return self.ref.location_name or self.shape.raw.location_name or self.shape.name

    @property
    def timestamp_format(self) -> str:
        """`unixTimestamp`, `iso8601`, `rfc822`, or empty for the protocol's default."""
        return self.ref.timestamp_format or self.shape.raw.timestamp_format

    @property
    def flattened(self) -> bool:
        """Whether a list or map has no element of its own around its entries."""
        return self.ref.flattened or self.shape.raw.flattened

    @property
    def streaming(self) -> bool:
        """Whether this is a blob that is handed on as it arrives."""
        return self.ref.streaming or self.shape.raw.streaming

    @property
    def xml_namespace(self) -> tuple[str, str] | None:
        """`(prefix, uri)` of the XML namespace declared here."""
        namespace = self.ref.xml_namespace or self.shape.raw.xml_namespace
        if isinstance(namespace, str):
            return "", namespace
        return (namespace.get("prefix", ""), namespace["uri"]) if namespace else None


class Shape:
    """One shape: its type, members and constraints. `raw` holds the model's own traits."""

    def __init__(self, model: "ServiceModel", name: str, raw: _RawShape) -> None:
        self._model, self.name, self.raw = model, name, raw
        self.type = raw.type

    def __repr__(self) -> str:
        return f"<Shape {self.name}: {self.type}>"

    @cached_property
    def members(self) -> Mapping[str, Member]:
        """The members of a structure, in the model's order."""
        return {
            name: Member(name, self._model.shape(ref.shape), ref)
            for name, ref in self.raw.members.items()
        }

    @property
    def required(self) -> tuple[str, ...]:
        """The names of the members that must be given."""
        return tuple(self.raw.required)

    @cached_property
    def member(self) -> Member:
        """The element of a list."""
        assert self.raw.member is not None, f"{self.name} is not a list"
        return Member("", self._model.shape(self.raw.member.shape), self.raw.member)

    @cached_property
    def key(self) -> Member:
        """The key of a map."""
        assert self.raw.key is not None, f"{self.name} is not a map"
        return Member("", self._model.shape(self.raw.key.shape), self.raw.key)

    @cached_property
    def value(self) -> Member:
        """The value of a map."""
        assert self.raw.value is not None, f"{self.name} is not a map"
        return Member("", self._model.shape(self.raw.value.shape), self.raw.value)

    @property
    def payload(self) -> Member | None:
        """The member that is the whole HTTP body, if one is."""
        return self.members[self.raw.payload] if self.raw.payload else None

    @cached_property
    def event_stream(self) -> Member | None:
        """The member that is an event stream, if one is."""
        streams = (m for m in self.members.values() if m.shape.raw.eventstream)
        return next(streams, None)

    @cached_property
    def recursive(self) -> bool:
        """Whether values may nest without bound: a document, or a shape that contains itself."""
        return _nests(self, (), set())


def _nests(shape: Shape, path: tuple[str, ...], done: set[str]) -> bool:
    if shape.raw.document or shape.name in path:
        return True
    if shape.name in done:
        return False
    inner = (*path, shape.name)
    if shape.type == "structure":
        found = any(_nests(m.shape, inner, done) for m in shape.members.values())
    elif shape.type == "list":
        found = _nests(shape.member.shape, inner, done)
    else:
        found = shape.type == "map" and _nests(shape.value.shape, inner, done)
    done.add(shape.name)
    return found


class Operation:
    """One operation: how it is addressed and what goes in and out."""

    def __init__(self, model: "ServiceModel", raw: _RawOperation) -> None:
        self._model, self.raw, self.name = model, raw, raw.name

    def __repr__(self) -> str:
        return f"<Operation {self.name}>"

    def _member(self, ref: Ref | None) -> Member | None:
        return None if ref is None else Member("", self._model.shape(ref.shape), ref)

    @cached_property
    def input(self) -> Member | None:
        """The input structure, with the traits of the operation's reference to it."""
        return self._member(self.raw.input)

    @cached_property
    def output(self) -> Member | None:
        """The output structure, with the traits of the operation's reference to it."""
        return self._member(self.raw.output)

    @property
    def input_shape(self) -> Shape | None:
        """The input structure."""
        return self.input.shape if self.input else None

    @property
    def output_shape(self) -> Shape | None:
        """The output structure."""
        return self.output.shape if self.output else None

    @property
    def errors(self) -> tuple[Shape, ...]:
        """The error shapes that the model lists for this operation."""
        return tuple(self._model.shape(ref.shape) for ref in self.raw.errors)


class ServiceModel:
    """The model of one service. `load` reads botocore's data; `from_dict` takes an inline model."""

    def __init__(self, raw: _RawModel, folder: Path | None = None) -> None:
        self._raw, self._folder = raw, folder
        self._shapes: dict[str, Shape] = {}
        self._operations: dict[str, Operation] = {}
        self.metadata: Mapping[str, Any] = raw.metadata
        self.dropped = DROPPED_TRAITS.get(self.service_id, DroppedTraits())
        self._restore_traits()

    @classmethod
    def load(cls, service: str) -> "ServiceModel":
        """The newest model of `service`, by botocore's name (`lambda`); LookupError if unknown."""
        folder = _newest_folder(service)
        data = _read(folder, "service-2")
        return cls(msgspec.json.decode(data, type=_RawModel), folder)

    @classmethod
    def from_dict(cls, model: Mapping[str, Any]) -> "ServiceModel":
        """A model given inline, in the form of botocore's `service-2.json`."""
        return cls(msgspec.convert(model, type=_RawModel, strict=False))

    def _restore_traits(self) -> None:
        """Put back the traits that botocore's conversion from Smithy drops (see `traits`)."""
        shapes = self._raw.shapes
        for name, (element, key, value) in self.dropped.entry_names.items():
            raw = shapes.get(name)
            if raw is not None:
                shapes[name] = msgspec.structs.replace(
                    raw,
                    flattened=True,
                    member=raw.member
                    and msgspec.structs.replace(raw.member, location_name=element),
                    key=raw.key and msgspec.structs.replace(raw.key, location_name=key),
                    value=raw.value and msgspec.structs.replace(raw.value, location_name=value),
                )
        for name, (code, status) in self.dropped.error_codes.items():
            raw = shapes.get(name)
            if raw is not None and raw.error is None:
                traits = ErrorTraits(code=code, http_status_code=status)
                shapes[name] = msgspec.structs.replace(raw, error=traits)

    @property
    def service_id(self) -> str:
        """The Smithy service id (`Lambda`, `SQS`)."""
        return str(self.metadata.get("serviceId", ""))

    @property
    def protocols(self) -> tuple[str, ...]:
        """The wire protocols that the service speaks, the preferred one first."""
        protocols = self.metadata.get("protocols") or [self.metadata["protocol"]]
        extra = ["query"] if self.query_compatible and "query" not in protocols else []
        return (*protocols, *extra)

    @property
    def query_compatible(self) -> bool:
        """Whether the service spoke the query protocol once and keeps its error codes."""
        return "awsQueryCompatible" in self.metadata

    @property
    def target_prefix(self) -> str:
        """What precedes the operation in `X-Amz-Target`."""
        return str(self.metadata.get("targetPrefix", ""))

    @property
    def json_version(self) -> str:
        """`1.0` or `1.1`."""
        return str(self.metadata.get("jsonVersion", "1.0"))

    @property
    def endpoint_prefix(self) -> str:
        """The host name's first part (`monitoring` for CloudWatch)."""
        return str(self.metadata.get("endpointPrefix", ""))

    @property
    def signing_name(self) -> str:
        """The service name in a credential scope."""
        return str(self.metadata.get("signingName") or self.endpoint_prefix)

    @property
    def xml_namespace(self) -> str:
        """The namespace of XML answers."""
        return str(self.metadata.get("xmlNamespace") or self.dropped.xml_namespace)

    @property
    def operation_names(self) -> tuple[str, ...]:
        """All operations, in the model's order."""
        return tuple(self._raw.operations)

    def operation(self, name: str) -> Operation:
        """The operation called `name`; KeyError if there is none."""
        found = self._operations.get(name)
        if found is None:
            found = self._operations[name] = Operation(self, self._raw.operations[name])
        return found

    def has_operation(self, name: str) -> bool:
        """Whether the model knows the operation."""
        return name in self._raw.operations

    def shape(self, name: str) -> Shape:
        """The shape called `name`; KeyError if there is none."""
        found = self._shapes.get(name)
        if found is None:
            found = self._shapes[name] = Shape(self, name, self._raw.shapes[name])
        return found

    @cached_property
    def error_shapes(self) -> Mapping[str, Shape]:
        """The service's error shapes by wire code and by shape name."""
        found: dict[str, Shape] = {}
        for name, raw in self._raw.shapes.items():
            if raw.exception:
                shape = self.shape(name)
                found[name] = shape
                if raw.error and raw.error.code:
                    found.setdefault(raw.error.code, shape)
        return found

    def paginators(self) -> Mapping[str, Mapping[str, Any]]:
        """`paginators-1.json` by operation: input_token, output_token, limit_key, result_key."""
        return self._side_file("paginators-1", "pagination")

    def waiters(self) -> Mapping[str, Mapping[str, Any]]:
        """`waiters-2.json` by waiter name."""
        return self._side_file("waiters-2", "waiters")

    def _side_file(self, name: str, key: str) -> Mapping[str, Mapping[str, Any]]:
        if self._folder is None:
            return {}
        try:
            data = _read(self._folder, name)
        except LookupError:
            return {}
        found: dict[str, Any] = msgspec.json.decode(data)[key]
        return found


@cache
def data_folder() -> Path:
    """Where botocore's data files are; LookupError when botocore is not installed."""
    spec = find_spec("botocore")
    if spec is None or spec.origin is None:
        raise LookupError("botocore is not installed: its data files are Lambent's service models")
    return Path(spec.origin).parent / "data"


def _newest_folder(service: str) -> Path:
    folder = data_folder() / service
    if not service or "/" in service or not folder.is_dir():
        raise LookupError(f"no service model for {service!r}")
    return max(entry for entry in folder.iterdir() if entry.is_dir())


def _read(folder: Path, name: str) -> bytes:
    packed = folder / f"{name}.json.gz"
    if packed.exists():
        return gzip.decompress(packed.read_bytes())
    plain = folder / f"{name}.json"
    if plain.exists():
        return plain.read_bytes()
    raise LookupError(f"{folder.parent.name} has no {name}")
