"""Both ways of talking to a runtime, behind one face: framed channel, and HTTP Runtime API.

A `Conversation` belongs to one box. It turns messages into the results of `ready` and `invoke`;
when the process has ended, `end` turns all that is waited for into BoxGone.
"""

import asyncio
import json
import socket
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from lambent.net import Handler, HttpLimits, HttpServer, serve
from lambent.sandbox import channel as framed
from lambent.sandbox.box import Answer, BoxGone, Exited, InitError, Invocation
from lambent.sandbox.channel import Channel, Frame, encode
from lambent.sandbox.runtime_api import RuntimeApi
from lambent.sandbox.streams import Stream, StreamBroken, error_object, too_large

# A runtime's connection is silent for as long as the function works; only sizes are bounded here.
API_LIMITS = HttpLimits(
    keepalive_timeout_s=float("inf"), head_timeout_s=60.0, connections_max=64, pipelined_max=16
)

_LAST_ANSWER_S = 0.01  # what the kernel holds of a dead process's connection is read within this


_encode = msgspec.json.Encoder().encode


class Conversation(Protocol):
    """What a box needs of either way."""

    @property
    def rss_kib(self) -> int:
        """Peak resident memory as the runtime reported it; 0 when it does not."""

    async def ready(self) -> InitError | None:
        """The end of init."""

    async def invoke(self, invocation: Invocation) -> Answer:
        """One event, one answer."""

    async def idle(self) -> None:
        """The runtime has asked for its next event."""

    def is_idle(self) -> bool:
        """Whether it waits for an event now."""

    def end(self, exited: Exited) -> None:
        """The process is gone: take in what it had sent, then fail what is waited for."""

    async def close(self) -> None:
        """Release sockets."""


class FramedConversation:
    """With our own bootstraps. An answer means that the runtime is ready for the next event."""

    def __init__(
        self,
        sock: socket.socket,
        start: bytes,
        on_answer: Callable[[], None],
        hang_up: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self.rss_kib = 0
        self._loop, self._on_answer = loop, on_answer
        self._ready: asyncio.Future[InitError | None] = loop.create_future()
        self._answer: asyncio.Future[Answer] | None = None
        self._stream: Stream | None = None
        self._sequence = 0
        self._exited: Exited | None = None
        self._channel = Channel(sock, self._heard, hang_up)
        if start:
            self._channel.send(start)

    def begin(self, start: bytes) -> None:
        """Say what was held back at first (an empty `start`): now the runtime begins."""
        self._channel.send(start)

    async def ready(self) -> InitError | None:
        """The end of init; BoxGone."""
        return await asyncio.shield(self._ready)

    async def invoke(self, invocation: Invocation) -> Answer:
        """One event, one answer; BoxGone."""
        if self._exited is not None:
            raise BoxGone(self._exited)
        self._sequence = (self._sequence + 1) & 0xFFFFFFFF
        self._stream = None
        self._answer = self._loop.create_future()
        meta = _meta(invocation)
        self._channel.send(encode(framed.INVOKE, meta, invocation.payload, self._sequence))
        return await self._answer

    async def idle(self) -> None:
        """At once, or after the answer that is still to come; BoxGone."""
        if self._exited is not None:
            raise BoxGone(self._exited)
        if self._answer is not None and not self._answer.done():
            await asyncio.wait([self._answer])
        if self._stream is not None:
            await asyncio.wait([self._stream.ended])

    def is_idle(self) -> bool:
        """Whether every event has been answered."""
        return self._answer is None or self._answer.done()

    def _heard(self, frame: Frame) -> None:
        rss_kib = frame.meta.get("rss")
        if isinstance(rss_kib, int):
            self.rss_kib = max(self.rss_kib, min(rss_kib, 1 << 32))
        match frame.kind:
            case framed.READY:
                self._initialised(None)
            case framed.INIT_ERROR:
                self._initialised(InitError(frame.payload, _text(frame, "type")))
            case framed.LAUNCH_FAILED:
                self._initialised(_not_started(frame.payload))
            case framed.RESULT | framed.ERROR if frame.sequence == self._sequence:
                if self._stream is None:
                    self._answered(frame)
                else:
                    self._streamed(self._stream, frame)
            case framed.STREAM if frame.sequence == self._sequence:
                self._begun(frame)
            case framed.CHUNK if frame.sequence == self._sequence and self._stream is not None:
                self._flowed(self._stream, frame)

    def _initialised(self, result: InitError | None) -> None:
        if not self._ready.done():
            self._on_answer()
            self._ready.set_result(result)

    def _answered(self, frame: Frame) -> None:
        waiting = self._answer
        if waiting is None or waiting.done():
            return
        self._on_answer()
        if frame.too_large:
            waiting.set_result(too_large())
        elif frame.kind == framed.ERROR:
            waiting.set_result(Answer(payload=frame.payload, error_type=_text(frame, "type")))
        else:
            content_type = _text(frame, "content") or "application/json"
            waiting.set_result(Answer(payload=frame.payload, content_type=content_type))

    def _begun(self, frame: Frame) -> None:
        """The runtime answers with a stream."""
        waiting = self._answer
        if waiting is not None and not waiting.done():
            self._stream = stream = Stream(self._channel.resume)
            self._on_answer()
            content_type = _text(frame, "content") or "application/octet-stream"
            waiting.set_result(Answer(payload=b"", content_type=content_type, stream=stream))

    def _flowed(self, stream: Stream, frame: Frame) -> None:
        """Some bytes of the stream; never as many as one frame may not hold, from our bootstrap."""
        if frame.too_large:
            kind, text = "Runtime.TruncatedResponse", "The response was broken off"
            stream.fail(StreamBroken(kind, error_object(kind, text)))
        stream.feed(frame.payload)
        if stream.full:
            self._channel.pause()

    def _streamed(self, stream: Stream, frame: Frame) -> None:
        """The stream is complete, or ended with an error."""
        if stream.ended.done():
            return
        self._on_answer()
        if frame.kind == framed.ERROR:
            error_type = _text(frame, "type")
            payload = error_object(error_type, "") if frame.too_large else frame.payload
            stream.fail(StreamBroken(error_type, payload))
        else:
            stream.finish()

    def end(self, exited: Exited) -> None:
        """The process is gone: what it had sent still counts."""
        self._channel.drain()
        self._exited = exited
        for future in (self._ready, self._answer):
            _fail(future, exited)
        if self._stream is not None:
            self._stream.fail(BoxGone(exited))

    async def close(self) -> None:
        """Close the channel."""
        self._channel.close()


class HttpConversation:
    """With everybody else: a loopback listener of its own, `AWS_LAMBDA_RUNTIME_API`."""

    def __init__(self, on_answer: Callable[[], None], others: Handler | None = None) -> None:
        self.rss_kib = 0
        self._api = RuntimeApi(on_answer, others)
        self._server: HttpServer | None = None
        self._exited: Exited | None = None
        self._channel: Channel | None = None

    async def listen(self, sock: socket.socket | None = None) -> str:
        """Start listening, on `sock` or on a free port; `host:port`."""
        self._server = await serve(self._api, limits=API_LIMITS, sock=sock)
        return f"127.0.0.1:{self._server.port}"

    def attach(self, sock: socket.socket, start: bytes) -> None:
        """The channel carries the start message only; the program's exec closes its far end."""
        self._channel = Channel(sock, self._heard, lambda: None)
        if start:
            self._channel.send(start)

    def begin(self, start: bytes) -> None:
        """As `FramedConversation.begin`."""
        assert self._channel is not None
        self._channel.send(start)

    def _heard(self, frame: Frame) -> None:
        if frame.kind == framed.LAUNCH_FAILED and not self._api.ready.done():
            self._api.ready.set_result(_not_started(frame.payload))

    async def ready(self) -> InitError | None:
        """The runtime asked for its first event, or reported an error; BoxGone."""
        return await asyncio.shield(self._api.ready)

    async def invoke(self, invocation: Invocation) -> Answer:
        """One event, one answer; BoxGone."""
        if self._exited is not None:
            raise BoxGone(self._exited)
        return await self._api.invoke(invocation)

    async def idle(self) -> None:
        """The runtime asked for its next event; BoxGone."""
        if self._exited is not None:
            raise BoxGone(self._exited)
        await asyncio.shield(self._api.idle)

    def is_idle(self) -> bool:
        """Whether the runtime is asking for its next event."""
        return self._api.idle.done()

    def end(self, exited: Exited) -> None:
        """The process is gone; a last answer may still be in its sockets, so wait a moment."""
        if self._exited is None:
            self._exited = exited
            if self._channel is not None:
                self._channel.drain()
            asyncio.get_running_loop().call_later(_LAST_ANSWER_S, self._fail_all)

    def _fail_all(self) -> None:
        assert self._exited is not None
        for future in (self._api.ready, self._api.answer, self._api.idle):
            _fail(future, self._exited)
        if self._api.stream is not None:
            self._api.stream.fail(BoxGone(self._exited))

    async def close(self) -> None:
        """Stop listening and drop the connections."""
        if self._channel is not None:
            self._channel.close()
        if self._exited is not None:
            self._fail_all()
        if self._server is not None:
            await self._server.close()


def _meta(invocation: Invocation) -> bytes:
    meta: dict[str, str | int] = {
        "id": invocation.request_id,
        "deadline": invocation.deadline_ms,
        "arn": invocation.function_arn,
    }
    if invocation.trace_id:
        meta["trace"] = invocation.trace_id
    if invocation.client_context:
        meta["client"] = invocation.client_context
    if invocation.cognito_identity:
        meta["cognito"] = invocation.cognito_identity
    if invocation.tenant_id:
        meta["tenant"] = invocation.tenant_id
    return _encode(meta)


def _text(frame: Frame, key: str) -> str:
    value = frame.meta.get(key)
    return value if isinstance(value, str) else ""


def _not_started(report: bytes) -> InitError:
    """The program could not be executed, in AWS's words."""
    try:
        reason = str(json.loads(report)["text"]).lower()
    except (ValueError, KeyError, TypeError):
        reason = "unknown error"
    error_type = "Runtime.InvalidEntrypoint"
    text = f"fork/exec {ENTRYPOINTS_SHOWN[0]}: {reason}"
    return InitError(
        json.dumps({"errorType": error_type, "errorMessage": text}).encode(), error_type
    )


ENTRYPOINTS_SHOWN = ("/var/task/bootstrap", "/opt/bootstrap")


def _fail(future: "asyncio.Future[Any] | None", exited: Exited) -> None:
    if future is not None and not future.done():
        future.set_exception(BoxGone(exited))
        future.exception()  # somebody may wait, nobody has to
