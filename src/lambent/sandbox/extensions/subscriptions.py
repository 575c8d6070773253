"""What an extension asks of the Telemetry API, or of the older Logs API: checked, with defaults.

Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html
Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-logs-api.html
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

TYPES = ("platform", "function", "extension")
HOSTS = ("sandbox.localdomain", "sandbox")
"""How an extension names its own environment."""

TELEMETRY_SCHEMAS = ("2022-07-01", "2022-12-13", "2025-01-29")
LOGS_SCHEMAS = ("2020-08-15", "2021-03-18")
_BUFFERING = {  # least, most, default
    "maxItems": (1_000, 10_000, 10_000),
    "maxBytes": (262_144, 1_048_576, 262_144),
    "timeoutMs": (25, 30_000, 1_000),
}

_decode = msgspec.json.Decoder().decode


class InvalidSubscription(ValueError):  # noqa: N818 - AWS says ValidationError on the wire
    """Every reason, joined with `; `, as AWS answers them."""


class Subscription(Struct, frozen=True, kw_only=True):
    """A checked subscription."""

    api: str
    """`telemetry` or `logs`."""
    schema: str
    types: tuple[str, ...]
    items_max: int
    bytes_max: int
    timeout_s: float
    protocol: str
    """`HTTP` or `TCP`."""
    port: int
    path: str = "/"
    method: str = "POST"

    @property
    def parses(self) -> bool:
        """Whether JSON log lines are handed on as objects."""
        return self.api == "telemetry" and self.schema != TELEMETRY_SCHEMAS[0]

    def wants(self, kind: str) -> bool:
        """Whether it gets events of `kind`."""
        name = kind.partition(".")[0]
        if name not in self.types:
            return False
        if self.api == "telemetry":
            return kind not in ("platform.end", "platform.logsSubscription")
        if kind == "platform.runtimeDone":
            return self.schema != LOGS_SCHEMAS[0]
        return name != "platform" or kind.rpartition(".")[2] in (
            "start", "end", "report", "extension", "logsSubscription", "logsDropped", "fault",
        )  # fmt: skip


def parse(api: str, body: bytes) -> Subscription:
    """The subscription that `body` asks for. Errors: InvalidSubscription."""
    try:
        request = _decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidSubscription(f"body is not JSON: {error}") from error
    if not isinstance(request, dict):
        raise InvalidSubscription("body should be an object")
    wrong: list[str] = []
    known = TELEMETRY_SCHEMAS if api == "telemetry" else LOGS_SCHEMAS
    schema = request.get("schemaVersion", known[0])
    if schema not in known:
        wrong.append(f"schemaVersion should be one of {', '.join(known)}")
    destination = _destination(request.get("destination"), wrong)
    types = _types(request.get("types"), wrong)
    buffering = _buffering(request.get("buffering"), wrong)
    if wrong:
        raise InvalidSubscription("; ".join(wrong))
    return Subscription(
        api=api,
        schema=schema,
        types=types,
        items_max=buffering["maxItems"],
        bytes_max=buffering["maxBytes"],
        timeout_s=buffering["timeoutMs"] / 1000,
        **destination,
    )


def _types(found: object, wrong: list[str]) -> tuple[str, ...]:
    if not isinstance(found, list) or not found:
        wrong.append("types should not be empty")
        return ()
    if any(one not in TYPES for one in found):
        wrong.append(f"types should be of {', '.join(TYPES)}")
        return ()
    return tuple(dict.fromkeys(found))


def _buffering(found: object, wrong: list[str]) -> Mapping[str, int]:
    given = found if isinstance(found, dict) else {}
    if found is not None and not isinstance(found, dict):
        wrong.append("buffering should be an object")
    result = {}
    for name, (least, most, default) in _BUFFERING.items():
        value = given.get(name, default)
        if type(value) is not int or not least <= value <= most:
            wrong.append(f"{name} should be between {least} and {most}")
            value = default
        result[name] = value
    return result


def _destination(found: object, wrong: list[str]) -> dict[str, Any]:
    if not isinstance(found, dict):
        wrong.append("destination is not provided")
        return {}
    protocol = found.get("protocol")
    if protocol == "TCP":
        return {"protocol": "TCP", "port": _port(found.get("port"), "port", wrong)}
    if protocol != "HTTP":
        wrong.append("destination protocol should be HTTP or TCP")
        return {}
    method = found.get("method", "POST")
    if method not in ("POST", "PUT"):
        wrong.append("destination method should be POST or PUT")
    uri = found.get("URI")
    try:
        parts = urlsplit(uri if isinstance(uri, str) else "")
        port = parts.port
    except ValueError:
        wrong.append("URI is not valid")
        return {}
    if parts.scheme != "http" or parts.hostname not in HOSTS:
        wrong.append(f"URI should begin with http://{HOSTS[0]}:")
    path = parts.path or "/"
    if not (path.isascii() and path.isprintable() and " " not in path):
        wrong.append("URI is not valid")
    port = _port(port, "URI port", wrong)
    return {"protocol": "HTTP", "port": port, "path": path, "method": method}


def _port(found: object, name: str, wrong: list[str]) -> int:
    if found is None:
        wrong.append(f"{name} is not provided")
    elif type(found) is not int or not 1 <= found <= 65_535:
        wrong.append(f"{name} is not valid")
    else:
        return found
    return 0
