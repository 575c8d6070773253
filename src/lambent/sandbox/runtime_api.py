"""The HTTP Runtime API, `/2018-06-01/runtime/...`: how every runtime that is not ours is spoken to.

One `RuntimeApi` is one environment's end of it: a small state machine that `net.server` calls for
each request. Requests and payloads pass as bytes. A streaming answer is handed on when its head has
come, and its bytes as they come (`streams.py`); its trailers may still make it an error.

Invariants: an event is handed over once; an answer is accepted once, for the event that is being
worked on; `on_answer` runs before any answer or init error is passed on (output first).
Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
import base64
import binascii
import re
from collections.abc import Callable
from enum import Enum

from lambent.net import BodyTooLarge, BodyTruncated, Handler, Request, Response
from lambent.sandbox.box import Answer, InitError, Invocation
from lambent.sandbox.channel import PAYLOAD_BYTES_MAX
from lambent.sandbox.streams import Stream, StreamBroken, error_object, too_large

PREFIX = "/2018-06-01/runtime/"
_TYPE_HEADER = "lambda-runtime-function-error-type"
_BODY_TRAILER = "lambda-runtime-function-error-body"
_MODE_HEADER = "lambda-runtime-function-response-mode"
_ERROR_TYPE = re.compile(r"(Runtime|Function)\.[A-Z][a-zA-Z]+")
_TRUNCATED_GRACE_S = 0.1  # for the exit that broke an answer off to be reported as what it is
_JSON = ("Content-Type", "application/json")


class State(Enum):
    """Where the runtime is, in the words of AWS's runtime interface emulator."""

    STARTED = "Started"
    READY = "Ready"
    RUNNING = "Running"
    ANSWERED = "InvocationResponse"
    FAILED = "InitError"


def sanitized(error_type: str) -> str:
    """The error type if it is of the documented form, `Function.Unknown` otherwise (telemetry)."""
    return error_type if _ERROR_TYPE.fullmatch(error_type) else "Function.Unknown"


class RuntimeApi:
    """One environment's Runtime API. `others`: who answers what is below another path."""

    def __init__(self, on_answer: Callable[[], None], others: Handler | None = None) -> None:
        self._on_answer, self._others = on_answer, others
        self._loop = asyncio.get_running_loop()
        self.state = State.STARTED
        self.ready: asyncio.Future[InitError | None] = self._loop.create_future()
        self.idle: asyncio.Future[None] = self._loop.create_future()
        """Done while the runtime waits for an event."""
        self.answer: asyncio.Future[Answer] | None = None
        self.stream: Stream | None = None
        """The latest answer that was streamed."""
        self._next: asyncio.Future[Response] | None = None
        self._current: Invocation | None = None
        self._handed = False

    # ---- the server's side ----

    def invoke(self, invocation: Invocation) -> "asyncio.Future[Answer]":
        """Hand over an event now or at the runtime's next request; its answer."""
        self._current, self._handed = invocation, False
        self.answer = self._loop.create_future()
        if self._next is not None and not self._next.done():
            self._next.set_result(self._hand_over())
        return self.answer

    # ---- the runtime's side ----

    async def __call__(self, request: Request) -> Response:
        """Answer one request of the runtime."""
        path = request.path
        if not path.startswith(PREFIX):
            if self._others is not None:
                return await self._others(request)
            return _fail(404, "NotFound", "not found")
        parts = path[len(PREFIX) :].split("/")
        match request.method, parts:
            case "GET", ["invocation", "next"]:
                return await self._take_next()
            case "POST", ["invocation", request_id, "response"]:
                return await self._respond(request, request_id)
            case "POST", ["invocation", request_id, "error"]:
                return await self._fail_invocation(request, request_id)
            case "POST", ["init", "error"]:
                return await self._fail_init(request)
        return _fail(404, "NotFound", "not found")

    async def _take_next(self) -> Response:
        if self.state is State.RUNNING:
            return self._refuse(State.READY)
        if self._next is not None and not self._next.done():
            self._next.set_result(self._refuse(State.READY))  # the newest request wins
        self.state = State.READY
        if not self.idle.done():
            self.idle.set_result(None)
        if not self.ready.done():
            self.ready.set_result(None)
        if self._current is not None and not self._handed:
            return self._hand_over()
        self._next = self._loop.create_future()
        return await self._next

    def _hand_over(self) -> Response:
        assert self._current is not None
        assert not self._handed
        event, self._handed = self._current, True
        self.state = State.RUNNING
        self.idle = self._loop.create_future()
        headers = [
            _JSON,
            ("Lambda-Runtime-Aws-Request-Id", event.request_id),
            ("Lambda-Runtime-Deadline-Ms", str(event.deadline_ms)),
            ("Lambda-Runtime-Invoked-Function-Arn", event.function_arn),
        ]
        for name, value in (
            ("Lambda-Runtime-Trace-Id", event.trace_id),
            ("Lambda-Runtime-Client-Context", event.client_context),
            ("Lambda-Runtime-Cognito-Identity", event.cognito_identity),
            ("Lambda-Runtime-Aws-Tenant-Id", event.tenant_id),
        ):
            if value:
                headers.append((name, value))
        return Response(200, headers, event.payload)

    def _is_current(self, request_id: str) -> bool:
        return (
            self.state is State.RUNNING
            and self._current is not None
            and self._current.request_id == request_id
        )

    async def _respond(self, request: Request, request_id: str) -> Response:
        if not self._is_current(request_id):
            return _fail(400, "InvalidRequestID", "Invalid request ID")
        mode = request.headers.get(_MODE_HEADER, "")
        if mode and mode.lower() != "streaming":
            return _fail(400, "InvalidFunctionResponseMode", "Invalid response mode")
        if mode:
            return await self._stream(request)
        try:
            payload = await request.body.read(PAYLOAD_BYTES_MAX)
        except BodyTooLarge:
            self._deliver(too_large())
            text = f"Exceeded maximum allowed payload size ({PAYLOAD_BYTES_MAX} bytes)."
            return _fail(413, "RequestEntityTooLarge", text)
        except BodyTruncated:
            return _fail(400, "TruncatedHTTPRequest", "HTTP request body is truncated")
        if not self._is_current(request_id):  # another answer overtook this one
            return _fail(400, "InvalidRequestID", "Invalid request ID")
        content_type = request.headers.get("content-type", "application/json")
        self._deliver(Answer(payload=payload, content_type=content_type))
        return _accepted()

    async def _stream(self, request: Request) -> Response:
        """Pass on a body as it comes; until its end the runtime is still running."""
        stream = self.stream = Stream()
        self._current = None
        content_type = request.headers.get("content-type", "application/octet-stream")
        self._pass_on(Answer(payload=b"", content_type=content_type, stream=stream))
        try:
            async for data in request.body.chunks():
                stream.feed(data)
                if stream.full:
                    await stream.room()
        except BodyTruncated:
            self.state = State.ANSWERED
            kind, text = "Runtime.TruncatedResponse", "The response was broken off"
            broken = StreamBroken(kind, error_object(kind, text))
            self._loop.call_later(_TRUNCATED_GRACE_S, stream.fail, broken)
            return _fail(400, "TruncatedHTTPRequest", "HTTP request body is truncated")
        self.state = State.ANSWERED
        self._on_answer()
        if error_type := request.body.trailers.get(_TYPE_HEADER):
            payload = _trailing(request.body.trailers.get(_BODY_TRAILER, ""), error_type)
            stream.fail(StreamBroken(error_type, payload))
        else:
            stream.finish()
        return _accepted()

    async def _fail_invocation(self, request: Request, request_id: str) -> Response:
        if not self._is_current(request_id):
            return _fail(400, "InvalidRequestID", "Invalid request ID")
        payload = await _error_body(request)
        if not self._is_current(request_id):
            return _fail(400, "InvalidRequestID", "Invalid request ID")
        error_type = request.headers.get(_TYPE_HEADER, "") or "Unhandled"
        self._deliver(Answer(payload=payload, error_type=error_type))
        return _accepted()

    async def _fail_init(self, request: Request) -> Response:
        if self.state is not State.STARTED:
            return self._refuse(State.FAILED)
        payload = await _error_body(request)
        self.state = State.FAILED
        self._on_answer()
        if not self.ready.done():
            error_type = request.headers.get(_TYPE_HEADER, "") or "Runtime.Unknown"
            self.ready.set_result(InitError(payload, error_type))
        return _accepted()

    def _deliver(self, answer: Answer) -> None:
        self.state = State.ANSWERED
        self._current = None
        self._pass_on(answer)

    def _pass_on(self, answer: Answer) -> None:
        self._on_answer()
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(answer)

    def _refuse(self, wanted: State) -> Response:
        text = f"Transition from {self.state.value} to {wanted.value} is not allowed."
        return _fail(403, "InvalidStateTransition", text)


async def _error_body(request: Request) -> bytes:
    """The error object; what is too long or broken off is an error without an object."""
    try:
        return await request.body.read(PAYLOAD_BYTES_MAX)
    except (BodyTooLarge, BodyTruncated):
        return b"{}"


def _accepted() -> Response:
    return Response(202, [_JSON], b'{"status":"OK"}\n')


def _fail(status: int, error_type: str, text: str) -> Response:
    return Response(status, [_JSON], error_object(error_type, text))


def _trailing(body: str, error_type: str) -> bytes:
    """The error object of a trailer, which is in base64."""
    try:
        return base64.b64decode(body, validate=True) or error_object(error_type, "")
    except (binascii.Error, ValueError):
        return error_object(error_type, "")
