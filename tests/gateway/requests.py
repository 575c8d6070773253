"""Valid signed requests for every operation, as bytes: what a fuzz test starts from."""

import contextlib
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.awsrequest import AWSResponse
from botocore.config import Config


class _Sent(Exception):
    """The request has been seen; nothing need be sent."""


@dataclass(slots=True)
class Raw:
    """One HTTP request, in pieces that can be broken one by one."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    name: str = ""
    length: int | None = None
    """What Content-Length says, when that is not the truth."""
    extra: list[tuple[str, str]] = field(default_factory=list)

    def bytes(self) -> bytes:
        """As it goes over the wire."""
        length = len(self.body) if self.length is None else self.length
        headers = [*self.headers, *self.extra, ("Content-Length", str(length))]
        head = "".join(f"{name}: {value}\r\n" for name, value in headers)
        return f"{self.method} {self.target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + self.body


def signed_requests(service: str, url: str) -> list[Raw]:
    """One request per operation of `service`, with its required members, as boto3 signs it."""
    config = Config(
        parameter_validation=False,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": "path"},
        inject_host_prefix=False,
    )
    client = boto3.session.Session().client(
        service,
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="test",
        config=config,
    )
    seen: list[Raw] = []

    def see(request: Any, **_: Any) -> AWSResponse:
        seen.append(_raw(request))
        raise _Sent

    client.meta.events.register("before-send", see)
    for method, operation in client.meta.method_to_api_mapping.items():
        shape = client.meta.service_model.operation_model(operation).input_shape
        arguments = _sample(shape, set()) if shape else {}
        before = len(seen)
        with contextlib.suppress(Exception):  # what botocore itself refuses is not sent
            getattr(client, method)(**arguments)
        for raw in seen[before:]:
            raw.name = f"{service}:{operation}"
    client.close()
    return seen


def _raw(request: Any) -> Raw:
    url = urlsplit(request.url)
    target = (url.path or "/") + (f"?{url.query}" if url.query else "")
    headers = [("Host", url.netloc)]
    for name, value in request.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if name.lower() not in ("host", "content-length", "transfer-encoding", "expect"):
            headers.append((name, text))
    body = request.body or b""
    if not isinstance(body, bytes):
        body = body.encode() if isinstance(body, str) else body.read()
    return Raw(request.method, target, headers, body)


_NAMES = {"Bucket": "fuzzbucket", "Key": "k", "FunctionName": "f", "Role": "arn:aws:iam::1:role/r"}


def _sample(shape: Any, path: set[str]) -> Any:
    """A value for a shape: required members only, and some optional ones of plain types."""
    if shape.type_name == "structure":
        if shape.name in path:
            return {}
        inner = path | {shape.name}
        return {
            name: _NAMES.get(name) or _sample(member, inner)
            for name, member in shape.members.items()
            if name in shape.required_members
        }
    if shape.type_name == "list":
        return [_sample(shape.member, path)]
    if shape.type_name == "map":
        return {"key": _sample(shape.value, path)}
    plain: dict[str, Any] = {
        "string": (getattr(shape, "enum", None) or ["abcdefgh"])[0],
        "integer": 1,
        "long": 1,
        "boolean": True,
        "blob": b"PK\x05\x06" + bytes(18),
        "timestamp": 1_800_000_000,
    }
    return plain.get(shape.type_name, 1)
