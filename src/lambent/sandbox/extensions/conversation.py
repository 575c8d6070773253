"""A conversation with a runtime and with the extensions beside it.

Wraps the conversation with the runtime alone: the runtime starts when every external extension has
registered, init ends when all have asked for their first event, an invocation goes to all who
registered for it. An environment that cannot have extensions is not wrapped and pays nothing.

Times and order follow https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from lambent.base.clock import monotonic, wall_ms
from lambent.net import HttpServer, Request, Response, serve
from lambent.sandbox.box import (
    Answer,
    BoxGone,
    Exited,
    ExtensionState,
    InitError,
    Invocation,
    Spec,
    Subscribed,
)
from lambent.sandbox.conversation import API_LIMITS, Conversation
from lambent.sandbox.extensions import api as extensions_api
from lambent.sandbox.extensions.api import ExtensionsApi, State, refuse
from lambent.sandbox.extensions.delivery import Dial, dial_local
from lambent.sandbox.extensions.telemetry import PATHS, Telemetry, iso
from lambent.sandbox.runtime_api import sanitized
from lambent.sandbox.streams import StreamBroken

EXTERNAL_S, INTERNAL_S = 2.0, 0.5
"""How long the shutdown phase may take; without extensions it takes no time at all."""

RUNTIME_S = 0.3
"""How long of that the runtime has after SIGTERM when there are external extensions."""


_SIGTERM, _SIGSTOP = 15, 19
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class RuntimeEnd:
    """The runtime's process, as the shutdown phase needs it."""

    exited: asyncio.Future[Exited]
    signal: Callable[[int], None]
    """Signals its process group."""


class ExternalProcess(Protocol):
    """An external extension's process."""

    name: str
    pid: int
    exited: asyncio.Future[Exited]

    async def close(self) -> None:
        """Kill it, if it lives; returns when it is gone."""


class ExtendedConversation:
    """See `Conversation`. Made by `extended`; `attach` gives it the runtime's own conversation."""

    def __init__(self, spec: Spec, dial: Dial | None) -> None:
        environment = spec.environment
        about = {
            "functionName": environment.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            "functionVersion": environment.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            "handler": spec.handler,
        }
        json_lines = environment.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
        self.api = ExtensionsApi(about, spec.account)
        self.telemetry = Telemetry(self.api, dial, json_lines=json_lines)
        self.on_output = spec.on_output
        self.processes: list[ExternalProcess] = []
        self._environment = environment
        self._runtime: Conversation | None = None
        self._begin: Callable[[], None] = lambda: None
        self._server: HttpServer | None = None
        self._under_way: tuple[Invocation, float] | None = None
        self._shut = False

    # ---- for the level ----

    async def listen(self, sock: socket.socket | None = None) -> str:
        """Serve extensions where the runtime itself needs no listener; `host:port`."""
        self._server = await serve(self.serve, limits=API_LIMITS, sock=sock)
        return f"127.0.0.1:{self._server.port}"

    def attach(self, runtime: Conversation, begin: Callable[[], None]) -> None:
        """The conversation with the runtime, which `begin` lets start."""
        self._runtime, self._begin = runtime, begin

    async def serve(self, request: Request) -> Response:
        """Answer what is not the Runtime API's."""
        path = request.path
        if path.startswith(extensions_api.PREFIX):
            return await self.api(request)
        if path in PATHS:
            return await self.telemetry(request)
        return refuse("NotFound", "not found", status=404)

    def function_line(self, line: bytes) -> None:
        """The function wrote a line."""
        self.telemetry.line("function", line)
        self.on_output(line)

    def extension_line(self, line: bytes) -> None:
        """An extension wrote a line."""
        self.telemetry.line("extension", line)
        self.on_output(line)

    # ---- Extensions ----

    def states(self) -> Sequence[ExtensionState]:
        """Those that registered, and those that failed to."""
        return [extension.described() for extension in self.api.extensions.values()]

    def subscribed(self) -> Sequence[Subscribed]:
        """Who gets telemetry."""
        return self.telemetry.subscribed()

    def tell(self, kind: str, record: Mapping[str, object], when_ms: int | None = None) -> None:
        """A `platform.*` event of Lambda's."""
        self.telemetry.tell(kind, record, when_ms)

    # ---- Conversation ----

    @property
    def rss_kib(self) -> int:
        """Peak memory as the runtime reported it."""
        return self._runtime.rss_kib if self._runtime else 0

    async def ready(self) -> InitError | None:
        """The end of init, of the runtime and of all extensions. Errors: BoxGone."""
        runtime = self._with()
        await self.api.until(self.api.all_registered)
        self._begin()
        failed = await self._unless_failed(runtime.ready())
        self.api.close_registration()
        self._tell_init(failed)
        if failed is None:
            await self.api.until(self.api.all_ready)
        self.telemetry.close_subscriptions()
        for extension in self.states():
            record = {"name": extension.name, "state": extension.state}
            self.tell("platform.extension", {**record, "events": list(extension.events)})
        return failed

    def _tell_init(self, failed: InitError | None) -> None:
        kind = self._environment.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        record = {"initializationType": kind, "phase": "init", "status": "success"}
        if failed is not None:
            record |= {"status": "error", "errorType": sanitized(failed.error_type)}
        self.tell("platform.initRuntimeDone", record)

    async def invoke(self, invocation: Invocation) -> Answer:
        """One event to the runtime and to extensions; the runtime's answer. Errors: BoxGone."""
        runtime = self._with()
        if not self.api.extensions:
            return await runtime.invoke(invocation)
        if self.api.failure is not None:
            raise BoxGone(self.api.failure)
        self._under_way = invocation, monotonic()
        version = self._environment.get("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
        record: dict[str, object] = {"requestId": invocation.request_id, "version": version}
        if invocation.trace_id:
            record["tracing"] = {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id}
        self.tell("platform.start", record)
        self.api.invoke(invocation)
        answer = await self._unless_failed(runtime.invoke(invocation))
        if answer.stream is None:
            self._runtime_done(answer)
        else:
            answered_s = monotonic()
            answer.stream.ended.add_done_callback(lambda _: self._runtime_done(answer, answered_s))
        return answer

    def _runtime_done(self, answer: Answer, answered_s: float | None = None) -> None:
        """Tell that the runtime has answered; extensions may still be working."""
        if self._under_way is None or self._shut:
            return
        (invocation, began_s), now_s = self._under_way, monotonic()
        self._under_way = None
        answered_s = answered_s or now_s
        began_ms = wall_ms() - (now_s - began_s) * 1000
        failed, size = answer.error_type, len(answer.payload)
        if answer.stream is not None:
            size, error = answer.stream.fed_bytes, answer.stream.error
            failed = error.error_type if isinstance(error, StreamBroken) else ""
        metrics = {"durationMs": _ms(now_s - began_s), "producedBytes": size}
        spans = [
            _span("responseLatency", began_ms, answered_s - began_s),
            _span("responseDuration", began_ms + (answered_s - began_s) * 1000, now_s - answered_s),
        ]
        record: dict[str, Any] = {"requestId": invocation.request_id}
        record |= {"status": "error" if failed else "success", "metrics": metrics, "spans": spans}
        if failed:
            record["errorType"] = sanitized(failed)
        self.tell("platform.runtimeDone", record)

    async def idle(self) -> None:
        """The runtime and those that get invocations wait for the next. Errors: BoxGone."""
        await self._unless_failed(self._with().idle())
        await self.api.until(self.api.all_done)

    def is_idle(self) -> bool:
        """Whether all of them wait for an event now."""
        return self._with().is_idle() and self.api.all_done()

    def end(self, exited: Exited) -> None:
        """The runtime's process is gone."""
        self._with().end(exited)
        self.api.runtime_ended(exited)

    async def close(self) -> None:
        """Release sockets."""
        await self.telemetry.close()
        if self._runtime is not None:
            await self._runtime.close()
        if self._server is not None:
            await self._server.close()

    def _with(self) -> Conversation:
        assert self._runtime is not None
        return self._runtime

    async def _unless_failed(self, work: Awaitable[Result]) -> Result:
        """What the runtime does, given up as soon as an extension fails. Errors: BoxGone."""
        try:
            async with asyncio.timeout(None) as limit:
                self.api.on_failure = lambda: limit.reschedule(0.0)
                return await work
        except TimeoutError:
            if self.api.failure is None:
                raise
            raise BoxGone(self.api.failure) from None
        finally:
            self.api.on_failure = _nothing

    # ---- the shutdown phase ----

    @property
    def shutdown_s(self) -> float:
        """How long this environment may take to end."""
        found = [e for e in self.api.extensions.values() if e.state is not State.STARTED]
        if not found:
            return 0.0
        return EXTERNAL_S if any(e.external for e in found) else INTERNAL_S

    async def shut_down(self, reason: str, runtime: RuntimeEnd) -> None:
        """The shutdown phase: the runtime first, then the extensions; whoever is left is killed by
        the caller. Nothing without extensions.
        """
        self._shut = True
        self._tell_end(reason)
        left_s = self.shutdown_s
        if not left_s:
            return
        until_s = monotonic() + left_s
        if reason == "spindown" and not runtime.exited.done():
            runtime.signal(_SIGTERM)
            grace_s = RUNTIME_S if left_s == EXTERNAL_S else left_s
            await asyncio.wait([runtime.exited], timeout=grace_s)
        if not runtime.exited.done():
            runtime.signal(_SIGSTOP)  # a SIGKILL would take the extensions with it
        self.telemetry.flush()
        self.api.shut_down(reason, wall_ms() + int((until_s - monotonic()) * 1000))
        told = {e.name for e in self.api.among("SHUTDOWN")}
        ends = [p.exited for p in self.processes if p.name in told and not p.exited.done()]
        if ends:
            await asyncio.wait(ends, timeout=max(0.0, until_s - monotonic()))

    def _tell_end(self, reason: str) -> None:
        if self._under_way is not None:
            invocation, began_s = self._under_way
            status = "timeout" if reason == "timeout" else "failure"
            metrics = {"durationMs": _ms(monotonic() - began_s), "producedBytes": 0}
            record = {"requestId": invocation.request_id, "status": status, "metrics": metrics}
            self.tell("platform.runtimeDone", record)


def extended(spec: Spec, dial: Dial | None = dial_local) -> ExtendedConversation | None:
    """What an environment needs that may have extensions; None for one that cannot.

    Extensions come with layers, or talk to a listener that is there anyway (`provided.*`).
    """
    if spec.layers_root is None and not spec.runtime.startswith("provided"):
        return None
    return ExtendedConversation(spec, dial)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _span(name: str, start_ms: float, duration_s: float) -> dict[str, object]:
    return {"name": name, "start": iso(start_ms), "durationMs": _ms(duration_s)}


def _nothing() -> None:
    """Nobody waits."""
