"""Hypothesis strategies for values by their shapes, and botocore as the peer at the other end."""

from datetime import UTC, datetime
from functools import cache
from typing import Any

from botocore.awsrequest import AWSRequest, prepare_request_dict
from botocore.loaders import Loader
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from hypothesis import strategies as st

from lambent.net import BytesBody, Request, Response
from lambent.wire import Codec, Member, ServiceModel, Shape

TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), max_size=12)
SIMPLE = st.text("abcXYZ019-_.~/ %+&=", min_size=1, max_size=12).map(str.strip).filter(bool)
HEADER = st.text("abcXYZ019-_.", min_size=1, max_size=12)
SECONDS = st.integers(0, 4_000_000_000)
INTEGERS = st.integers(-(2**31), 2**31 - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32).map(float)


@cache
def codec_of(service: str) -> Codec:
    return Codec(ServiceModel.load(service))


@cache
def botocore_model(service: str) -> BotocoreModel:
    return BotocoreModel(Loader().load_service_model(service, "service-2"), service)


def scalars(shape: Shape, *, in_head: bool) -> st.SearchStrategy[Any]:
    if shape.type == "string":
        if shape.raw.enum:
            return st.sampled_from(shape.raw.enum)
        return HEADER if in_head else TEXT
    return {
        "integer": INTEGERS,
        "long": INTEGERS,
        "float": FLOATS,
        "double": FLOATS,
        "boolean": st.booleans(),
        "blob": st.binary(max_size=12),
        "timestamp": SECONDS,
    }[shape.type]


def values(shape: Shape, depth: int = 4, *, in_head: bool = False) -> st.SearchStrategy[Any]:
    """Values of `shape`; a document, an event stream or too deep a structure has none."""
    if shape.type == "structure" and shape.raw.union:
        choices = [values(m.shape, depth - 1).map(_named(m.name)) for m in _finite(shape, depth)]
        return st.one_of(choices)
    if shape.type == "structure":
        return structures(list(shape.members.values()), depth)
    if shape.type == "list":
        return st.lists(
            values(shape.member.shape, depth - 1, in_head=in_head), min_size=1, max_size=3
        )
    if shape.type == "map":
        keys = HEADER.map(str.lower) if in_head else scalars(shape.key.shape, in_head=False)
        return st.dictionaries(
            keys, values(shape.value.shape, depth - 1, in_head=in_head), min_size=1, max_size=3
        )
    return scalars(shape, in_head=in_head)


def _named(name: str) -> Any:
    return lambda value: {name: value}


def _finite(shape: Shape, depth: int) -> list[Member]:
    """The members of a union that need no further depth, or all of them."""
    members = [m for m in shape.members.values() if not m.shape.raw.document]
    flat = [m for m in members if m.shape.type not in ("structure", "list", "map")]
    return flat if depth <= 0 and flat else members


def structures(members: list[Member], depth: int = 4) -> st.SearchStrategy[Any]:
    required, optional = {}, {}
    for member in members:
        shape = member.shape
        if shape.raw.document or shape.raw.eventstream or member.ref.jsonvalue:
            continue
        if depth <= 0 and shape.type in ("structure", "list", "map"):
            continue
        if member.location == "uri":
            plain = shape.type == "string" and not shape.raw.enum
            required[member.name] = SIMPLE if plain else values(shape, in_head=True)
            continue
        in_head = bool(member.location) or member.ref.xml_attribute
        optional[member.name] = values(shape, depth - 1, in_head=in_head)
    return st.fixed_dictionaries(required, optional=optional)


def for_botocore(shape: Shape | None, value: Any) -> Any:
    """A value as boto3's callers give it: dates for timestamps."""
    if shape is None or value is None or shape.raw.document:
        return value
    if shape.type == "structure":
        return {k: for_botocore(shape.members[k].shape, v) for k, v in value.items()}
    if shape.type == "list":
        return [for_botocore(shape.member.shape, item) for item in value]
    if shape.type == "map":
        return {k: for_botocore(shape.value.shape, v) for k, v in value.items()}
    if shape.type == "timestamp":
        return datetime.fromtimestamp(value, UTC)
    return value


def from_botocore(shape: Shape, value: Any) -> Any:
    """botocore's value as Lambent's."""
    if value is None:
        return None
    if shape.type == "structure" and not shape.raw.document:
        return {
            k: from_botocore(shape.members[k].shape, v)
            for k, v in value.items()
            if k in shape.members
        }
    if shape.type == "list":
        return [from_botocore(shape.member.shape, item) for item in value]
    if shape.type == "map":
        return {k: from_botocore(shape.value.shape, v) for k, v in value.items()}
    if shape.type == "timestamp":
        return round(value.timestamp())
    if shape.type == "blob" and isinstance(value, str):
        return value.encode()
    return value


def request_by_botocore(
    service: str, operation: str, params: dict[str, Any], protocol: str
) -> tuple[Request, bytes]:
    """The request that botocore makes of `params`, as the server sees it."""
    model = botocore_model(service)
    shape = codec_of(service).model.operation(operation).input_shape
    serializer = create_serializer(protocol, include_validation=False)
    made = serializer.serialize_to_request(
        for_botocore(shape, params), model.operation_model(operation)
    )
    prepare_request_dict(made, "http://localhost")
    prepared = AWSRequest(
        made["method"], made["url"], headers=made["headers"], data=made["body"]
    ).prepare()
    rest = prepared.url.partition("://")[2]
    path, _, query = rest[rest.find("/") :].partition("?")
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else bytes(body)
    headers = {k.lower(): _text(v) for k, v in prepared.headers.items()}
    return Request(prepared.method, path, query, headers, BytesBody(body)), body


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


async def drained(response: Response) -> bytes:
    if isinstance(response.body, bytes):
        return response.body
    return b"".join([piece async for piece in response.body])


class AnyCase(dict[str, str]):
    """Headers as botocore has them."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        super().__init__({name.lower(): value for name, value in headers})

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).lower())

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())

    def get(self, key: str, default: Any = None) -> Any:
        return super().get(key.lower(), default)


def read_by_botocore(
    service: str, operation: str, response: Response, protocol: str, code: str = ""
) -> dict[str, Any]:
    """What botocore's parser makes of an answer."""
    model = botocore_model(service)
    shape = model.operation_model(operation).output_shape
    if code:
        shape = model.shape_for_error_code(code)
    raw = {
        "body": response.body,
        "headers": AnyCase(response.headers),
        "status_code": response.status,
        "context": {"operation_name": operation},
    }
    parsed: dict[str, Any] = create_parser(protocol).parse(raw, shape)
    return parsed
