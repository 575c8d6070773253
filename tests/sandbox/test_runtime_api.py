"""The Runtime API by raw HTTP: states, statuses and bodies (facts: lambda.md D1)."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable

import pytest

from lambent.net import serve
from lambent.sandbox.box import Answer, InitError
from lambent.sandbox.conversation import API_LIMITS
from lambent.sandbox.runtime_api import RuntimeApi, sanitized
from lambent.sandbox.streams import StreamBroken, collected
from tests.sandbox.support import event

Call = Callable[..., Awaitable[tuple[int, dict[str, str], bytes]]]
BASE = "/2018-06-01/runtime"
INVALID_ID = b'{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}'


PORTS: dict[Call, int] = {}


def api_port(call: Call) -> int:
    return PORTS[call]


def with_api(work: Callable[[RuntimeApi, Call, list[str]], Awaitable[None]]) -> None:
    async def main() -> None:
        drained: list[str] = []
        api = RuntimeApi(lambda: drained.append("output"))
        server = await serve(api, limits=API_LIMITS)

        async def call(
            method: str, path: str, body: bytes = b"", **headers: str
        ) -> tuple[int, dict[str, str], bytes]:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
            head += "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
            if "Transfer_Encoding" not in headers:
                head += f"Content-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"\r\n" + body)
            raw = await reader.read()
            writer.close()
            top, _, rest = raw.partition(b"\r\n\r\n")
            status, *lines = top.decode().split("\r\n")
            pairs = (line.split(": ", 1) for line in lines)
            return int(status.split()[1]), {k.lower(): v for k, v in pairs}, rest

        PORTS[call] = server.port
        try:
            await asyncio.wait_for(work(api, call, drained), 20)
        finally:
            await server.close()

    asyncio.run(main())


def test_an_event_goes_out_with_its_headers_and_its_answer_comes_back_once() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        waiting = asyncio.create_task(call("GET", f"{BASE}/invocation/next"))
        assert await api.ready is None
        sent = event({"a": 1}, trace_id="Root=1", client_context="{}", cognito_identity="{}",
                     tenant_id="t")  # fmt: skip
        answer = api.invoke(sent)
        status, headers, body = await waiting
        assert (status, body) == (200, b'{"a": 1}')
        assert headers["content-type"] == "application/json"
        assert headers["lambda-runtime-aws-request-id"] == sent.request_id
        assert headers["lambda-runtime-deadline-ms"] == str(sent.deadline_ms)
        assert headers["lambda-runtime-invoked-function-arn"] == sent.function_arn
        assert headers["lambda-runtime-trace-id"] == "Root=1"
        assert headers["lambda-runtime-client-context"] == "{}"
        assert headers["lambda-runtime-cognito-identity"] == "{}"
        assert headers["lambda-runtime-aws-tenant-id"] == "t"
        assert not api.idle.done()
        target = f"{BASE}/invocation/{sent.request_id}/response"
        for wrong in ("other-id", ""):
            status, _, body = await call("POST", f"{BASE}/invocation/{wrong}/response", b"1")
            assert (status, body) == (400, INVALID_ID)
        assert (await call("GET", f"{BASE}/invocation/next"))[0] == 403
        status, _, body = await call("POST", target, b"42", Content_Type="application/json")
        assert status == 202
        assert json.loads(body) == {"status": "OK"}
        assert await answer == Answer(payload=b"42")
        assert drained == ["output"]
        status, _, body = await call("POST", target, b"43")
        assert (status, body) == (400, INVALID_ID)

    with_api(work)


def test_optional_headers_are_left_out() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        answer = api.invoke(event())
        _, headers, _ = await call("GET", f"{BASE}/invocation/next")
        assert not {h for h in headers if "trace" in h or "context" in h or "tenant" in h}
        assert not answer.done()

    with_api(work)


def test_errors_carry_their_type_and_body() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        answer = api.invoke(event())
        await call("GET", f"{BASE}/invocation/next")
        target = f"{BASE}/invocation/{event().request_id}/error"
        kind = {"Lambda_Runtime_Function_Error_Type": "Function.Bad"}
        assert (await call("POST", target, b'{"errorMessage":"x"}', **kind))[0] == 202
        assert await answer == Answer(payload=b'{"errorMessage":"x"}', error_type="Function.Bad")
        assert (await call("POST", target, b"{}", **kind))[0] == 400

    with_api(work)


def test_init_error_is_taken_once_and_only_before_the_first_event() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        kind = {"Lambda_Runtime_Function_Error_Type": "Runtime.Bad"}
        assert (await call("POST", f"{BASE}/init/error", b"{}", **kind))[0] == 202
        assert await api.ready == InitError(b"{}", "Runtime.Bad")
        status, _, body = await call("POST", f"{BASE}/init/error", b"{}", **kind)
        assert status == 403
        assert json.loads(body)["errorType"] == "InvalidStateTransition"

    with_api(work)


def test_a_response_over_the_limit_is_refused_and_answered_with_awss_error() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        for size, status, error in (
            (6_291_556, 202, ""),
            (6_291_557, 413, "Function.ResponseSizeTooLarge"),
        ):
            answer = api.invoke(event())
            await call("GET", f"{BASE}/invocation/next")
            target = f"{BASE}/invocation/{event().request_id}/response"
            got, _, body = await call("POST", target, b"x" * size)
            assert got == status
            result = await answer
            assert result.error_type == error
            if error:
                assert json.loads(body) == {
                    "errorType": "RequestEntityTooLarge",
                    "errorMessage": "Exceeded maximum allowed payload size (6291556 bytes).",
                }
                assert b"(6291556 bytes)" in result.payload

    with_api(work)


def test_a_streamed_answer_can_be_collected_and_unknown_modes_are_refused() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        answer = api.invoke(event())
        await call("GET", f"{BASE}/invocation/next")
        target = f"{BASE}/invocation/{event().request_id}/response"
        mode = "Lambda_Runtime_Function_Response_Mode"
        status, _, body = await call("POST", target, b"x", **{mode: "sometimes"})
        assert status == 400
        assert b"InvalidFunctionResponseMode" in body
        chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
        headers = {mode: "streaming", "Transfer_Encoding": "chunked"}
        assert (await call("POST", target, chunks, **headers))[0] == 202
        got = await collected(await answer)
        assert got == Answer(payload=b"abcde", content_type="application/octet-stream")

    with_api(work)


class Sender:
    """A runtime that streams its answer by hand."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def begin(self) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.writer.write(
            f"POST {BASE}/invocation/{event().request_id}/response HTTP/1.1\r\nHost: x\r\n"
            "Lambda-Runtime-Function-Response-Mode: streaming\r\nContent-Type: text/plain\r\n"
            "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )

    async def send(self, data: bytes) -> None:
        self.writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await self.writer.drain()

    async def end(self, **trailers: str) -> int:
        lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in trailers.items())
        self.writer.write(f"0\r\n{lines}\r\n".encode())
        status = await self.reader.readline()
        self.writer.close()
        return int(status.split()[1])


def test_a_stream_arrives_while_it_is_sent_and_nothing_else_is_accepted_meanwhile() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        answer = api.invoke(event())
        await call("GET", f"{BASE}/invocation/next")
        sender = Sender(api_port(call))
        await sender.begin()
        got = await answer
        assert (got.payload, got.content_type) == (b"", "text/plain")
        assert got.stream is not None
        await sender.send(b"first")
        assert await anext(got.stream) == b"first"  # before the second exists
        assert (await call("GET", f"{BASE}/invocation/next"))[0] == 403
        target = f"{BASE}/invocation/{event().request_id}/response"
        assert (await call("POST", target, b"1"))[0] == 400
        await sender.send(b"second")
        assert await sender.end() == 202
        assert [part async for part in got.stream] == [b"second"]
        assert drained == ["output", "output"]

    with_api(work)


def test_an_error_in_the_trailers_comes_after_the_bytes_before_it() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        kind = "Lambda_Runtime_Function_Error_Type"
        cases = [
            (base64.b64encode(b'{"errorMessage":"x"}').decode(), b'{"errorMessage":"x"}'),
            ("?", b'{"errorMessage":"","errorType":"Function.Late"}'),
        ]
        for body, payload in cases:
            answer = api.invoke(event())
            await call("GET", f"{BASE}/invocation/next")
            sender = Sender(api_port(call))
            await sender.begin()
            await sender.send(b"some")
            trailers = {kind: "Function.Late", "Lambda_Runtime_Function_Error_Body": body}
            assert await sender.end(**trailers) == 202
            stream = (await answer).stream
            assert stream is not None
            assert await anext(stream) == b"some"
            with pytest.raises(StreamBroken, match=r"Function\.Late") as caught:
                await anext(stream)
            assert caught.value.payload == payload

    with_api(work)


def test_a_stream_that_breaks_off_is_a_truncated_response() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        answer = api.invoke(event())
        await call("GET", f"{BASE}/invocation/next")
        sender = Sender(api_port(call))
        await sender.begin()
        await sender.send(b"some")
        sender.writer.close()
        got = await collected(await answer)
        assert got.error_type == "Runtime.TruncatedResponse"

    with_api(work)


def test_a_stream_that_nobody_reads_stops_the_runtime() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        answer = api.invoke(event())
        await call("GET", f"{BASE}/invocation/next")
        sender = Sender(api_port(call))
        await sender.begin()
        stream = (await answer).stream
        assert stream is not None

        async def flood() -> int:
            for _ in range(256):
                await sender.send(b"x" * 65_536)
            return await sender.end()

        flooding = asyncio.create_task(flood())
        while not stream.full:  # noqa: ASYNC110 - nobody tells a reader of fullness
            await asyncio.sleep(0)
        assert not flooding.done()
        total = sum([len(part) async for part in stream])
        assert total == 256 * 65_536
        assert await flooding == 202

    with_api(work)


def test_a_broken_off_response_leaves_the_invocation_open() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        answer = api.invoke(event())
        await call("GET", f"{BASE}/invocation/next")
        target = f"{BASE}/invocation/{event().request_id}/response"
        await call("POST", target, b"zz\r\n", Transfer_Encoding="chunked")
        assert not answer.done()

    with_api(work)


def test_unknown_paths_and_methods_are_not_found() -> None:
    async def work(api: RuntimeApi, call: Call, drained: list[str]) -> None:
        for method, path in (
            ("GET", "/"),
            ("POST", f"{BASE}/invocation/next"),
            ("GET", f"{BASE}/invocation/x/response"),
            ("GET", f"{BASE}/restore/next"),
        ):
            assert (await call(method, path))[0] == 404

    with_api(work)


def test_error_types_are_sanitized_for_telemetry() -> None:
    assert sanitized("Runtime.ExitError") == "Runtime.ExitError"
    assert sanitized("ValueError") == "Function.Unknown"
