"""botocore's protocol cases (../shared/protocol-cases), read for a server."""

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambent.net import BytesBody, Request
from lambent.wire import Codec, ServiceModel, Shape

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "protocol-cases"
TOTAL = 732


@dataclass(frozen=True)
class Case:
    """One case: `key` is `input/json:AwsJson11Foo:0`."""

    key: str
    suite: dict[str, Any]
    case: dict[str, Any]

    @property
    def protocol(self) -> str:
        return self.suite["metadata"]["protocol"]

    @property
    def operation(self) -> str:
        return self.case["given"]["name"]

    def codec(self) -> Codec:
        return Codec(ServiceModel.from_dict(self.model()))

    def model(self) -> dict[str, Any]:
        return {
            "metadata": self.suite["metadata"],
            "operations": {self.operation: self._given()},
            "shapes": self.suite["shapes"],
        }

    def _given(self) -> dict[str, Any]:
        """The operation; the cases leave out the wrapper that real query models name."""
        given = dict(self.case["given"])
        wrapper = f"{self.operation}Result"
        if self.protocol == "query" and wrapper in self.case.get("response", {}).get("body", ""):
            given["output"] = {**given["output"], "resultWrapper": wrapper}
        return given


def load(direction: str) -> Iterator[Case]:
    """Every case of `input` or `output`; none when the folder is not there."""
    for path in sorted((FOLDER / direction).glob("*.json")):
        seen: dict[str, int] = {}
        for suite in json.loads(path.read_text()):
            for case in suite["cases"]:
                identity = case.get("id") or suite["description"]
                number = seen[identity] = seen.get(identity, -1) + 1
                key = f"{direction}/{path.stem}:{identity}" + (f":{number}" if number else "")
                yield Case(key, suite, case)


def request_of(case: Case) -> tuple[Request, bytes]:
    """The request that a client would have sent."""
    sent = case.case["serialized"]
    path, _, query = sent.get("uri", "/").partition("?")
    text = sent.get("body", "")
    body = text.encode()
    if case.protocol == "smithy-rpc-v2-cbor":
        body = base64.b64decode(text)
    headers = {name.lower(): value for name, value in sent.get("headers", {}).items()}
    method = sent.get("method") or case.case["given"]["http"]["method"]
    prefix = case.suite.get("clientEndpoint", "").partition("://")[2].partition("/")[2]
    if prefix:  # a path of the client's own endpoint is a gateway's matter
        path = path.removeprefix("/" + prefix.rstrip("/"))
    if case.protocol == "json":  # a few cases leave it out
        headers.setdefault("x-amz-target", f"Service.{case.operation}")
    return Request(method, path, query, headers, BytesBody(body)), body


def typed(shape: Shape | None, value: Any) -> Any:
    """A case's JSON value as Lambent's: blobs as bytes, special floats as floats."""
    if value is None or shape is None or shape.raw.document:
        return value
    if shape.type == "structure":
        return {
            name: typed(shape.members[name].shape, item)
            if not shape.members[name].ref.jsonvalue
            else item
            for name, item in value.items()
            if name in shape.members and item is not None
        }
    if shape.type == "list":
        return [typed(shape.member.shape, item) for item in value]
    if shape.type == "map":
        return {key: typed(shape.value.shape, item) for key, item in value.items()}
    if shape.type == "blob":
        return value.encode() if isinstance(value, str) else value
    return float(value) if shape.type in ("float", "double") else value


def same(left: Any, right: Any) -> bool:
    """Equality in which NaN equals NaN."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9) or left == right
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
