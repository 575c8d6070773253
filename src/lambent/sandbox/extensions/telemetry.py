"""The Telemetry API (`PUT /2022-07-01/telemetry`) and the older Logs API (`/2020-08-15/logs`).

Events come from three places: lines of the function, lines of extensions, and `platform.*` events
that the conversation and Lambda tell. What happens before a subscription is kept during the init
phase, bounded, so that a subscriber also learns of the start that it was too late for.

An event is encoded once per form that somebody wants. Without subscribers, after init, an event
costs one comparison. Times are real: they are what the function's own clock shows.
Source: https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from lambent.base.clock import wall_ms
from lambent.base.tasks import Tasks
from lambent.net import BodyTooLarge, BodyTruncated, Request, Response
from lambent.sandbox.box import Subscribed
from lambent.sandbox.extensions.api import ExtensionsApi, refuse
from lambent.sandbox.extensions.delivery import REASON, Dial, Sink
from lambent.sandbox.extensions.subscriptions import InvalidSubscription, Subscription, parse

PATHS: Mapping[str, str] = {"/2022-07-01/telemetry": "telemetry", "/2020-08-15/logs": "logs"}
BACKLOG_BYTES_MAX = 262_144
"""Events of the init phase that are kept for those who subscribe during it."""

_BODY_BYTES_MAX = 65_536
_CLOSED = {
    "telemetry": ("Telemetry.SubscriptionClosed", "Telemetry API subscription is closed already"),
    "logs": ("Logs.SubscriptionClosed", "Logs API subscription is closed already"),
}
_OK = Response(200, [("Content-Type", "application/json")], b'"OK"')
_decode = msgspec.json.Decoder().decode


class Event:
    """One event, and its encodings."""

    __slots__ = ("_encoded", "kind", "record", "time")

    def __init__(self, kind: str, record: str | Mapping[str, object], when_ms: int) -> None:
        self.kind, self.record = kind, record
        self.time = iso(when_ms)
        self._encoded: dict[bool, bytes] = {}

    def encoded(self, *, parsed: bool) -> bytes:
        """JSON; with `parsed`, a line that is a JSON object is one here, too."""
        found = self._encoded.get(parsed)
        if found is None:
            record: Any = self.record
            if parsed and isinstance(record, str):
                record = _parsed(record)
            body = {"time": self.time, "type": self.kind, "record": record}
            found = self._encoded[parsed] = json.dumps(body, separators=(",", ":")).encode()
        return found


def _parsed(line: str) -> object:
    if line.startswith("{"):
        try:
            found = _decode(line)
        except (msgspec.DecodeError, RecursionError):
            return line
        if isinstance(found, dict):
            return found
    return line


class Telemetry:
    """All subscriptions of one environment. `json_lines`: the function logs JSON. Without `dial`
    (a level that cannot reach ports inside) subscribing is answered as the emulator of AWS does.
    """

    def __init__(self, api: ExtensionsApi, dial: Dial | None, *, json_lines: bool) -> None:
        self._api, self._dial, self._json_lines = api, dial, json_lines
        self._tasks = Tasks("telemetry")
        self._sinks: dict[str, Sink] = {}
        self._backlog: list[Event] = []
        self._backlog_bytes = 0
        self._open = True

    def subscribed(self) -> list[Subscribed]:
        """Who gets what, by name."""
        return [
            Subscribed(sink.subscription.api, name, sink.subscription.types)
            for name, sink in self._sinks.items()
        ]

    def line(self, kind: str, line: bytes) -> None:
        """A line that the function (or an extension) wrote."""
        if self._sinks or self._open:
            self.tell(kind, line.decode("utf-8", "replace"))

    def tell(
        self, kind: str, record: str | Mapping[str, object], when_ms: int | None = None
    ) -> None:
        """An event for those who want such; `when_ms`: if it was not now."""
        if not self._sinks and not self._open:
            return
        event = Event(kind, record, wall_ms() if when_ms is None else when_ms)
        if self._open and self._backlog_bytes < BACKLOG_BYTES_MAX:
            self._backlog.append(event)
            self._backlog_bytes += len(record) if isinstance(record, str) else 256
        for sink in self._sinks.values():
            self._give(sink, event)

    def _give(self, sink: Sink, event: Event) -> None:
        if sink.subscription.wants(event.kind):
            parsed = self._json_lines and sink.subscription.parses and event.kind == "function"
            sink.add(event.encoded(parsed=parsed))

    def close_subscriptions(self) -> None:
        """Init is over."""
        self._open = False
        self._backlog.clear()

    def flush(self) -> None:
        """Send all that is held, now: the environment ends."""
        for sink in self._sinks.values():
            sink.flush()

    async def close(self) -> None:
        """Give up what is held or on its way."""
        self._open = False
        for sink in self._sinks.values():
            sink.close()
        await self._tasks.close()

    async def __call__(self, request: Request) -> Response:
        """Subscribe. `request.path` is one of `PATHS`."""
        api = PATHS[request.path]
        if request.method != "PUT":
            return refuse("NotFound", "not found", status=404)
        found = self._api.identified(request)
        if isinstance(found, Response):
            return found
        if not self._open:
            return refuse(*_CLOSED[api])
        if self._dial is None:
            name = api.capitalize()
            text = f"{name} API is not supported"
            return refuse(f"{name}.NotSupported", text, status=202)
        try:
            subscription = parse(api, await request.body.read(_BODY_BYTES_MAX))
        except (InvalidSubscription, BodyTooLarge, BodyTruncated) as error:
            return refuse("ValidationError", str(error) or "body is too large", status=400)
        self._subscribe(found.name, subscription, self._dial)
        return _OK

    def _subscribe(self, name: str, subscription: Subscription, dial: Dial) -> None:
        """The latest subscription of an extension is the one that counts."""
        old = self._sinks.pop(name, None)
        if old is not None:
            old.close()
        sink = self._sinks[name] = Sink(subscription, dial, self._tasks, _dropped)
        for event in self._backlog:
            self._give(sink, event)
        kind = {"telemetry": "telemetrySubscription", "logs": "logsSubscription"}[subscription.api]
        record = {"name": name, "state": "Subscribed", "types": list(subscription.types)}
        self.tell(f"platform.{kind}", record)


def iso(when_ms: float) -> str:
    """A time as AWS's records have it."""
    when = datetime.fromtimestamp(when_ms / 1000, UTC)
    return when.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dropped(count: int, size: int) -> bytes:
    record = {"reason": REASON, "droppedRecords": count, "droppedBytes": size}
    return Event("platform.logsDropped", record, wall_ms()).encoded(parsed=False)
