"""The Extensions API, `/2020-01-01/extension/...`: a small state machine per extension.

External extensions are known by their file names before they register; whoever else registers is
internal, and lives in the runtime's process. States and texts are those of AWS's runtime interface
emulator. Handlers come from `net.server`, as for the Runtime API.

Invariants: an event is handed to an extension once; the first failure counts, and none after
`shut_down`; `until` raises what failed.
Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-extensions-api.html
"""

import asyncio
import json
import secrets
import uuid
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any

from lambent.net import BodyTooLarge, BodyTruncated, Request, Response
from lambent.sandbox.box import BoxGone, Exited, ExtensionState, Invocation
from lambent.sandbox.streams import error_object

PREFIX = "/2020-01-01/extension/"
EXTENSIONS_MAX = 10
_BODY_BYTES_MAX = 65_536
_ID_HEADER = "lambda-extension-identifier"
_ERROR_HEADER = "lambda-extension-function-error-type"
_JSON = ("Content-Type", "application/json")


class State(Enum):
    """Where an extension is, in AWS's words."""

    STARTED = "Started"
    REGISTERED = "Registered"
    READY = "Ready"
    RUNNING = "Running"
    INIT_ERROR = "InitError"
    EXIT_ERROR = "ExitError"
    EXITED = "Exited"
    LAUNCH_ERROR = "LaunchError"


_ALIVE = (State.REGISTERED, State.READY, State.RUNNING)


class Extension:
    """One extension: external from its launch, internal from its registration."""

    def __init__(self, name: str, *, external: bool) -> None:
        self.name, self.external = name, external
        self.id = new_id()
        self.state = State.STARTED
        self.events: tuple[str, ...] = ()
        self.error_type = ""
        self.waiting: asyncio.Future[Response] | None = None
        self.event: Response | None = None
        """What it gets at its next request."""

    def give(self, event: Response) -> None:
        """Hand over an event now, or at its next request."""
        if self.waiting is not None and not self.waiting.done():
            self.state = State.RUNNING
            self.waiting.set_result(event)
        else:
            self.event = event

    def described(self) -> ExtensionState:
        """For log lines."""
        return ExtensionState(self.name, self.state.value, self.events, self.error_type)


class ExtensionsApi:
    """All extensions of one environment. `about`: what a registration answers."""

    def __init__(self, about: Mapping[str, str], account: str) -> None:
        self.extensions: dict[str, Extension] = {}
        """By name."""
        self.failure: Exited | None = None
        self.on_failure: Callable[[], None] = lambda: None
        """Called when an extension has failed."""
        self._about, self._account = dict(about), account
        self._by_id: dict[str, Extension] = {}
        self._open, self._ending = True, False
        self._changed: asyncio.Future[None] | None = None

    # ---- the server's side ----

    def expect(self, name: str) -> Extension:
        """An external extension that is about to be started."""
        extension = self.extensions[name] = Extension(name, external=True)
        return extension

    def find(self, identifier: str) -> Extension | None:
        """By the identifier of its registration."""
        return self._by_id.get(identifier)

    def close_registration(self) -> None:
        """The runtime is initialised: nobody may register any more."""
        self._open = False

    def among(self, event: str) -> list[Extension]:
        """Those that registered for `event`."""
        return [e for e in self.extensions.values() if event in e.events]

    def all_registered(self) -> bool:
        """Whether no external extension is still to register."""
        return all(e.state is not State.STARTED for e in self.extensions.values())

    def all_ready(self) -> bool:
        """Whether every extension waits for an event."""
        return all(e.state is State.READY and e.event is None for e in self.extensions.values())

    def all_done(self) -> bool:
        """Whether every extension that gets invocations has asked for the next one."""
        return all(e.state is State.READY and e.event is None for e in self.among("INVOKE"))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until what the extensions do makes `condition` true.

        Errors: BoxGone with the extension's failure, or the runtime's end.
        """
        while True:
            if self.failure is not None:
                raise BoxGone(self.failure)
            if condition():
                return
            if self._changed is None or self._changed.done():
                self._changed = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._changed)

    def invoke(self, invocation: Invocation) -> None:
        """Tell those who registered for it that an invocation begins."""
        for extension in self.among("INVOKE"):
            tracing = {"type": "X-Amzn-Trace-Id", "value": invocation.trace_id}
            extension.give(
                _event({
                    "eventType": "INVOKE",
                    "deadlineMs": invocation.deadline_ms,
                    "requestId": invocation.request_id,
                    "invokedFunctionArn": invocation.function_arn,
                    "tracing": tracing,
                })
            )  # fmt: skip

    def shut_down(self, reason: str, deadline_ms: int) -> None:
        """Tell those who registered for it that the environment ends; what fails now is no news."""
        self._ending, self._open = True, False
        event = {"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline_ms}
        for extension in self.among("SHUTDOWN"):
            extension.give(_event(event))

    def fail(self, error_type: str, text: str, extension: Extension, state: State) -> None:
        """An extension failed, and with it the environment."""
        extension.state = state
        extension.error_type = extension.error_type or error_type
        if self.failure is None and not self._ending:
            self.failure = Exited(None, error_type=error_type, text=text)
            self.on_failure()
        self._notify()

    def process_ended(self, extension: Extension, exited: Exited) -> None:
        """An external extension's process is gone."""
        if extension.state in (*_ALIVE, State.STARTED):
            text = str(exited) or "exit code 0"
            self.fail("Extension.Crash", text, extension, State.EXITED)

    def runtime_ended(self, exited: Exited) -> None:
        """The runtime is gone: nobody waits for extensions any more."""
        if self.failure is None:
            self.failure = exited
        self._notify()

    def _notify(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # ---- the extensions' side ----

    async def __call__(self, request: Request) -> Response:
        """Answer one request below `PREFIX`."""
        match request.method, request.path[len(PREFIX) :]:
            case "POST", "register":
                return await self._register(request)
            case "GET", "event/next":
                found = self.identified(request)
                return found if isinstance(found, Response) else await self._next(found)
            case "POST", "init/error":
                return await self._error(request, "Extension.InitError", State.INIT_ERROR)
            case "POST", "exit/error":
                return await self._error(request, "Extension.ExitError", State.EXIT_ERROR)
        return refuse("NotFound", "not found", status=404)

    def identified(self, request: Request) -> Extension | Response:
        """Who asks, by the identifier header; or what to answer instead."""
        identifier = request.headers.get(_ID_HEADER, "")
        if not identifier:
            text = "Missing Lambda-Extension-Identifier header"
            return refuse("Extension.MissingExtensionIdentifier", text)
        try:
            identifier = str(uuid.UUID(identifier))
        except ValueError:
            text = "Invalid Lambda-Extension-Identifier"
            return refuse("Extension.InvalidExtensionIdentifier", text)
        found = self._by_id.get(identifier)
        if found is None:
            text = f"Unknown extension {identifier}"
            return refuse("Extension.UnknownExtensionIdentifier", text)
        return found

    async def _register(self, request: Request) -> Response:
        name = request.headers.get("lambda-extension-name", "")
        if not name:
            return refuse("Extension.InvalidExtensionName", "Empty extension name")
        try:
            events = _events(await request.body.read(_BODY_BYTES_MAX))
        except (ValueError, BodyTooLarge, BodyTruncated) as error:
            return refuse("InvalidRequestFormat", str(error) or "body", status=400)
        known = self.extensions.get(name)
        external = known is not None and known.external
        for event in events:
            if event not in ("INVOKE", "SHUTDOWN"):
                return refuse("Extension.InvalidEventType", f"{event}: ErrorInvalidEventType")
            if event == "SHUTDOWN" and not external:
                text = f"{event}: ShutdownEventNotSupportedForInternalExtension"
                return refuse("Extension.InvalidEventType", text)
        if known is None:
            if not self._open:
                text = "Extension registration closed already"
                return refuse("Extension.RegistrationClosed", text)
            if len(self.extensions) >= EXTENSIONS_MAX:
                text = f"Extension limit ({EXTENSIONS_MAX}) reached"
                return refuse("Extension.TooManyExtensions", text)
            known = self.extensions[name] = Extension(name, external=False)
        elif not known.external:
            text = "Extension with this name already registered"
            return refuse("Extension.InvalidExtensionState", text)
        elif known.state is not State.STARTED:
            return _not_allowed(known, State.REGISTERED)
        known.state, known.events = State.REGISTERED, tuple(events)
        self._by_id[known.id] = known
        self._notify()
        body = dict(self._about)
        features = request.headers.get("lambda-extension-accept-feature", "").split(",")
        if self._account and "accountId" in map(str.strip, features):
            body["accountId"] = self._account
        headers = [_JSON, ("Lambda-Extension-Identifier", known.id)]
        return Response(200, headers, json.dumps(body).encode())

    async def _next(self, extension: Extension) -> Response:
        if extension.state not in _ALIVE:
            return _not_allowed(extension, State.READY)
        if extension.waiting is not None and not extension.waiting.done():
            extension.waiting.set_result(_not_allowed(extension, State.READY))  # the newest wins
        extension.state = State.READY
        if extension.event is not None:
            event, extension.event = extension.event, None
            extension.state = State.RUNNING
            return event
        extension.waiting = asyncio.get_running_loop().create_future()
        self._notify()
        return await extension.waiting

    async def _error(self, request: Request, error_type: str, state: State) -> Response:
        found = self.identified(request)
        if isinstance(found, Response):
            return found
        reported = request.headers.get(_ERROR_HEADER, "")
        if not reported:
            text = "Lambda-Extension-Function-Error-Type not found"
            return refuse("Extension.MissingHeader", text)
        early = found.state is State.REGISTERED
        if found.state not in _ALIVE or (state is State.INIT_ERROR and not early):
            return _not_allowed(found, state)
        found.error_type = reported
        self.fail(error_type, reported, found, state)
        return Response(202, [_JSON], b'{"status":"OK"}\n')


def _events(body: bytes) -> Sequence[str]:
    """The events of a registration. Errors: ValueError."""
    found: Any = json.loads(body)
    if not isinstance(found, dict):
        raise ValueError("the body is not an object")
    events = found.get("events") or []
    if not isinstance(events, list) or not all(isinstance(e, str) for e in events):
        raise ValueError("events is not a list of strings")
    return list(dict.fromkeys(events))


def _event(body: Mapping[str, object]) -> Response:
    headers = [_JSON, ("Lambda-Extension-Event-Identifier", new_id())]
    return Response(200, headers, json.dumps(body).encode())


def _not_allowed(extension: Extension, wanted: State) -> Response:
    text = (
        f"State transition from {extension.state.value} to {wanted.value} failed for extension "
        f"{extension.name}. Error: State transition is not allowed"
    )
    return refuse("Extension.InvalidExtensionState", text)


def refuse(error_type: str, text: str, *, status: int = 403) -> Response:
    """An error of these APIs."""
    return Response(status, [_JSON], error_object(error_type, text))


def new_id() -> str:
    """A random UUID."""
    return str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
