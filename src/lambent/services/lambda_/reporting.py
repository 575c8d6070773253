"""What an invocation leaves in the log: INIT_START, START, output, END, REPORT; text or JSON.

Lines go to CloudWatch Logs through the platform's journal, which never makes anybody wait, and the
last 4 KB of an invocation to the caller who asks for them.
Source: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-formats.html
"""

import base64
import json
import math
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from lambent.kernel import Ctx, Wire
from lambent.sandbox.box import ExtensionState, Subscribed
from lambent.services.lambda_ import limits

_LEVELS = ("DEBUG", "INFO", "WARN")
LINES_MAX = 10_000
"""Lines of one invocation that wait to be written; then they are written in between."""

TAIL_LINES_MAX = 4 * limits.LOG_TAIL_BYTES
"""Lines that may wait for a tail; a line has a byte at least, so a quarter of them is enough."""


class Report(Struct):
    """The figures of one invocation; times in milliseconds."""

    request_id: str
    duration_ms: float
    memory_size: int
    memory_used: int
    init_ms: float | None = None
    status: str = ""
    """Empty for success, else AWS's: `timeout`, `error`."""
    error_type: str = ""

    @property
    def billed_ms(self) -> int:
        """Billed duration: init and duration, rounded up. Since August 2025 init is billed."""
        return math.ceil(round(self.duration_ms + (self.init_ms or 0.0), 2))

    def text(self) -> str:
        """The REPORT line."""
        fields = [
            f"REPORT RequestId: {self.request_id}",
            f"Duration: {self.duration_ms:.2f} ms",
            f"Billed Duration: {self.billed_ms} ms",
            f"Memory Size: {self.memory_size} MB",
            f"Max Memory Used: {self.memory_used} MB",
        ]
        if self.init_ms is not None:
            fields.append(f"Init Duration: {self.init_ms:.2f} ms")
        if self.status:
            fields.append(f"Status: {self.status}")
        if self.error_type:
            fields.append(f"Error Type: {self.error_type}")
        return "\t".join(fields) + "\t\n"

    def record(self) -> Wire:
        """The `platform.report` record."""
        metrics: Wire = {
            "durationMs": round(self.duration_ms, 3),
            "billedDurationMs": self.billed_ms,
            "memorySizeMB": self.memory_size,
            "maxMemoryUsedMB": self.memory_used,
        }
        if self.init_ms is not None:
            metrics["initDurationMs"] = round(self.init_ms, 3)
        status = self.status or "success"
        record = {"requestId": self.request_id, "metrics": metrics, "status": status}
        return record | ({"errorType": self.error_type} if self.error_type else {})


class LogStream:
    """The log stream of one execution environment."""

    def __init__(self, ctx: Ctx, record: Wire) -> None:
        day = datetime.fromtimestamp(ctx.now(), UTC).strftime("%Y/%m/%d")
        self.name = f"{day}/[{record['Version']}]{ctx.platform.ids.hex(32)}"
        config = record["LoggingConfig"]
        self.group: str = config["LogGroup"]
        self._json = config["LogFormat"] == "JSON"
        self._level = _LEVELS.index(config.get("SystemLogLevel", "INFO"))
        self._platform = ctx.platform
        self._where = (ctx.account, ctx.region)
        self._version: str = record["Version"]
        self._pending: list[tuple[int, str]] = []
        self._tail: list[str] | None = None
        """The lines of an invocation whose caller asked for them."""

    def output(self, line: bytes) -> None:
        """A line that the function wrote."""
        self._add(line.decode("utf-8", "replace") + "\n")

    def init_start(self, runtime: str, runtime_arn: str) -> None:
        """The environment begins its init phase."""
        if self._json:
            record = {"runtimeVersion": runtime, "runtimeVersionArn": runtime_arn}
            record |= {"initializationType": "on-demand", "phase": "init"}
            self._system("platform.initStart", record)
        else:
            self._add(
                f"INIT_START Runtime Version: {runtime}\tRuntime Version ARN: {runtime_arn}\n"
            )

    def init_report(self, duration_ms: float, phase: str, status: str, error_type: str) -> None:
        """The init phase failed."""
        if self._json:
            record: Wire = {"phase": phase, "status": status, "errorType": error_type}
            record["metrics"] = {"durationMs": duration_ms}
            self._system("platform.initReport", record, "WARN")
        else:
            error = f"\tError Type: {error_type}" if error_type else ""
            self._add(
                f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\t"
                f"Status: {status}{error}\n"
            )

    def subscription(self, subscribed: Subscribed) -> None:
        """An extension gets telemetry."""
        if self._json:
            record = {"name": subscribed.name, "state": "Subscribed", "types": subscribed.types}
            kind = "telemetry" if subscribed.api == "telemetry" else "logs"
            self._system(f"platform.{kind}Subscription", record)
        else:
            types = ", ".join(subscribed.types)
            self._add(
                f"{subscribed.api.upper()}\tName: {subscribed.name}\tState: Subscribed\t"
                f"Types: [{types}]\n"
            )

    def extension(self, extension: ExtensionState) -> None:
        """An extension takes part in this environment, or failed to."""
        name, state, error_type = extension.name, extension.state, extension.error_type
        if self._json:
            record: Wire = {"name": name, "state": state, "events": extension.events}
            if error_type:
                record["errorType"] = error_type
            self._system("platform.extension", record)
        else:
            events = ", ".join(extension.events)
            error = f"\tError Type: {error_type}" if error_type else ""
            self._add(f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{events}]{error}\n")

    def start(self, request_id: str, *, tail: bool) -> None:
        """An invocation begins; with `tail` its lines are kept for `end`."""
        self._tail = [] if tail else None
        if self._json:
            self._system("platform.start", {"requestId": request_id, "version": self._version})
        else:
            self._add(f"START RequestId: {request_id} Version: {self._version}\n")

    def end(self, report: Report, note: str = "") -> str:
        """An invocation ended. Returns its tail in base64, empty unless it was asked for.

        `note` is a line of the platform's.
        """
        if note:
            self._add(note + "\n")
        if self._json:
            done = {"requestId": report.request_id, "status": report.status or "success"}
            self._system("platform.runtimeDone", done, "WARN" if report.status else "DEBUG")
            self._system("platform.report", report.record())
        else:
            self._add(f"END RequestId: {report.request_id}\n")
            self._add(report.text())
        self.flush()
        if self._tail is None:
            return ""
        text = "".join(self._tail).encode("utf-8", "replace")
        return base64.b64encode(text[-limits.LOG_TAIL_BYTES :]).decode()

    def flush(self) -> None:
        """Hand what was collected to the journal."""
        if self._pending:
            lines, self._pending = self._pending, []
            self._platform.journal.write(*self._where, self.group, self.name, lines)

    def _system(self, kind: str, record: Any, level: str = "INFO") -> None:
        if _LEVELS.index(level) < self._level:
            return
        when = datetime.fromtimestamp(self._platform.clock.now(), UTC)
        time = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        self._add(json.dumps({"time": time, "type": kind, "record": record}) + "\n")

    def _add(self, line: str) -> None:
        self._pending.append((int(self._platform.clock.now() * 1000), line))
        if self._tail is not None:
            self._tail.append(line)
            if len(self._tail) > TAIL_LINES_MAX:
                del self._tail[: -limits.LOG_TAIL_BYTES]
        if len(self._pending) >= LINES_MAX:
            self.flush()
