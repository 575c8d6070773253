"""Judges an answer against a protocol case: as bytes parsed freely, or as botocore reads it."""

import base64
import json
from typing import Any
from xml.etree import ElementTree

import cbor2
from botocore.model import ServiceModel as BotocoreModel
from botocore.parsers import ResponseParserError, create_parser

from lambent.net import Response
from lambent.wire import Shape
from tests.conformance.cases import Case, same


def expected_body(case: Case) -> bytes:
    text = case.case["response"].get("body", "")
    return base64.b64decode(text) if case.protocol == "smithy-rpc-v2-cbor" else text.encode()


def _tree(data: bytes, protocol: str) -> Any:
    """A body as something comparable, request ids left out; bytes when it is not structured."""
    if not data.strip():
        return b""
    try:
        if protocol in ("json", "rest-json"):
            return json.loads(data)
        if protocol == "smithy-rpc-v2-cbor":
            return cbor2.loads(data)
        return _elements(ElementTree.fromstring(data))
    except (ValueError, ElementTree.ParseError, cbor2.CBORDecodeError):
        return data


def _elements(node: ElementTree.Element) -> Any:
    tag = node.tag.rpartition("}")[2]
    children = [_elements(child) for child in node]
    children = [c for c in children if c[0].lower() not in ("requestid", "responsemetadata")]
    text = "" if children else (node.text or "")
    children.sort(key=repr)
    return tag, text, tuple(children), tuple(sorted(node.attrib.items()))


def same_bytes(case: Case, response: Response) -> bool:
    """Whether the body says the same as the case's, its order and spacing aside."""
    assert isinstance(response.body, bytes)
    ours, theirs = _tree(response.body, case.protocol), _tree(expected_body(case), case.protocol)
    if ours == theirs or (theirs == b"" and ours == {}):
        return True
    return isinstance(ours, dict) and isinstance(theirs, dict) and same(ours, theirs)


def as_botocore_reads(case: Case, response: Response) -> Any:
    """What botocore's parser makes of the answer; None if it refuses it."""
    model = BotocoreModel({**case.model()}, case.suite.get("description", ""))
    operation = model.operation_model(case.operation)
    shape = operation.output_shape
    if "error" in case.case:
        shape = model.shape_for_error_code(case.case["errorCode"])
    named = {name.lower() for name in case.case["response"].get("headers", {})}
    headers = {name.lower(): value for name, value in response.headers}
    raw = {
        "body": response.body,
        "headers": LowerKeys({name: value for name, value in headers.items() if name in named}),
        "status_code": response.status,
        "context": {"operation_name": case.operation},
    }
    parser = create_parser(case.protocol)
    try:
        parsed = parser.parse(raw, shape)
    except (ResponseParserError, ValueError, KeyError, AttributeError):
        return None
    parsed.pop("ResponseMetadata", None)
    return parsed


class LowerKeys(dict[str, str]):
    """Headers as botocore has them: any case finds."""

    def __contains__(self, key: object) -> bool:
        return super().__contains__(str(key).lower())

    def __getitem__(self, key: str) -> str:
        return super().__getitem__(key.lower())


def plain(value: Any) -> Any:
    """botocore's values as a case writes them: dates as seconds."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if hasattr(value, "timestamp"):
        seconds = value.timestamp()
        return int(seconds) if seconds == int(seconds) else seconds
    return value


def without_empty(shape: Shape | None, value: Any) -> Any:
    """`value` without members that a reader cannot tell from absent ones."""
    if not isinstance(value, dict):
        return value
    return {key: item for key, item in value.items() if item not in ({}, [], None)}
