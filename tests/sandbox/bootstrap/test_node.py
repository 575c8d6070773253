"""Our Node bootstrap against AWS's own `aws-lambda-ric`, which runs unmodified beside it."""

import asyncio
import contextlib
import json
import re
from pathlib import Path

import pytest

from lambent.sandbox.box import BoxGone, Exited
from lambent.sandbox.streams import StreamBroken, collected
from tests.sandbox.support import (
    CLIENT,
    Bench,
    event,
    failure,
    has_node,
    normal,
    npm_installed,
    run,
    value,
)

pytestmark = pytest.mark.timeout(900)  # the first run on a machine installs and compiles


@pytest.fixture(scope="module", autouse=True)
def _clients_installed() -> None:
    """Before any test's own clock runs; without the registry, the tests that need it skip."""
    with contextlib.suppress(pytest.skip.Exception):
        npm_installed("aws-lambda-ric", "dist/rapid-client.node")


NODE = """
console.log('loading');
exports.handler = async (event, context) => {
  switch (event.what) {
    case 'echo': return event;
    case 'undefined': return undefined;
    case 'context': return { ...context, left: context.getRemainingTimeInMillis() > 0,
      trace: process.env._X_AMZN_TRACE_ID };
    case 'throw': throw new TypeError('bad é');
    case 'string': throw 'text';
    case 'coded': { const e = new Error('c'); e.code = 'E_X'; e.extra = { a: 1 }; throw e; }
    case 'bigint': return 1n;
    case 'log': console.log('a %s', 1, { b: [1] }); console.error('two\\nlines');
      console.warn(new Error('warned').message); console.debug('d'); console.trace('t'); return 1;
    case 'fail': context.fail(); return;
    case 'succeed': context.succeed({ early: 1 }); return { late: 1 };
  }
};
exports.callback = (event, context, callback) => {
  if (event.what === 'now') {
    context.callbackWaitsForEmptyEventLoop = false;
    return callback(null, 1);
  }
  if (event.what === 'wait') {
    setTimeout(() => console.log('before the answer'), 5);
    return callback(null, 2);
  }
  if (event.what === 'error') return callback(new RangeError('r'));
  if (event.what === 'text') return callback('only text');
  if (event.what === 'never') return;
  if (event.what === 'sync') throw new SyntaxError('s');
  if (event.what === 'thenable') return { then: (yes) => yes('thened') };
};
"""
NODE_CASES = {
    "handler": ("echo", "undefined", "context", "throw", "string", "coded", "bigint", "log", "fail",
                "succeed"),
    "callback": ("now", "wait", "error", "text", "never", "sync", "thenable"),
}  # fmt: skip


def node_ric(bench: Bench, handler: str, files: dict[str, str]) -> Path:
    if not has_node(bench.sandbox):
        pytest.skip("no Node.js on this machine")
    modules = npm_installed("aws-lambda-ric", "dist/rapid-client.node")
    start = (
        f"#!/bin/sh\nexec node $LAMBDA_TASK_ROOT/client/aws-lambda-ric/bin/index.mjs {handler}\n"
    )
    return bench.code_with(modules, {**files, "bootstrap": start})


def without_runtime_frames(found: object) -> object:
    """Stack frames of the runtimes themselves differ, and so do Node's internals below them."""
    if isinstance(found, dict):
        return {k: without_runtime_frames(v) for k, v in found.items()}
    if isinstance(found, list):
        return [
            without_runtime_frames(v)
            for v in found
            if not (isinstance(v, str) and re.match(r"\s+at (?!.*/var/task/(?!client/))", v))
        ]
    return found


def node_lines(lines: list[bytes], code: Path) -> list[object]:
    result: list[object] = []
    for line in normal(lines, code):
        head, brace, tail = line.partition("\t{")
        if brace and "Error" in head:
            result.append([head, without_runtime_frames(json.loads("{" + tail))])
        elif not line.startswith("TIME\tundefined\tINFO\tExecuting"):
            result.append(line)
    return result


@pytest.mark.parametrize("handler", NODE_CASES)
def test_our_node_answers_and_logs_as_aws_lambda_ric_does(handler: str) -> None:
    async def work(bench: Bench) -> None:
        theirs_code = node_ric(bench, f"m.{handler}", {"m.js": NODE})
        ours_code = bench.code({"m.js": NODE})
        theirs = await bench.launch(theirs_code, runtime="provided.al2023", memory_mib=512)
        assert await theirs.ready() is None
        ours = await bench.launch(ours_code, handler=f"m.{handler}", runtime="nodejs20.x")
        assert await ours.ready() is None
        for what in NODE_CASES[handler]:
            invocation = event({"what": what}, client_context=CLIENT, trace_id="Root=1-2-3")
            results = []
            for box, code in ((theirs, theirs_code), (ours, ours_code)):
                bench.output.clear()
                answer = await box.invoke(invocation)
                body = answer.payload.replace(str(code).encode(), b"/var/task")
                parsed = without_runtime_frames(json.loads(body))
                results.append((parsed, bool(answer.error_type), node_lines(bench.output, code)))
            assert results[1] == results[0], what

    run(work)


BROKEN = {
    "missing-module": ("other.handler", {"m.js": ""}),
    "missing-import": ("m.handler", {"m.js": "require('nowhere')"}),
    "missing-handler": ("m.nothing", {"m.js": "exports.handler = 1"}),
    "not-a-function": ("m.handler", {"m.js": "exports.handler = 1"}),
    "syntax": ("m.handler", {"m.js": "exports.handler = ("}),
    "esm-syntax": ("m.handler", {"m.mjs": "export const handler = ("}),
    "malformed": ("nodot", {"m.js": ""}),
    "dots": ("../m.handler", {"m.js": ""}),
    "throws": ("m.handler", {"m.js": "throw new RangeError('at load')"}),
    "rejects": ("m.handler", {"m.js": "Promise.reject(new Error('r')); setTimeout(()=>{}, 50)"}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_our_node_fails_to_start_as_aws_lambda_ric_does(name: str) -> None:
    async def work(bench: Bench) -> None:
        handler, files = BROKEN[name]
        results = []
        for code, runtime in (
            (node_ric(bench, handler, files), "provided.al2023"),
            (bench.code(files), "nodejs20.x"),
        ):
            bench.output.clear()
            box = await bench.launch(code, handler=handler, runtime=runtime, memory_mib=512)
            failed = await box.ready()
            assert failed is not None
            gone = await box.exited()  # type: ignore[attr-defined]
            payload = failed.payload.replace(str(code).encode(), b"/var/task")
            error = without_runtime_frames(json.loads(payload))
            text = re.sub(r'/[^ \\"]*(index|node)\.mjs', "RUNTIME", json.dumps(error))
            results.append((text, failed.error_type, gone))
        assert results[1] == results[0]

    run(work)


SHAPES = {
    "cjs": ("m.handler", {"m.js": "exports.handler = async (e) => ['cjs', e];"}),
    "cjs-file": ("m.handler", {"m.cjs": "exports.handler = async (e) => ['cjs', e];"}),
    "esm-file": ("m.handler", {"m.mjs": "export const handler = async (e) => ['esm', e];"}),
    "esm-package": (
        "src/m.handler",
        {
            "package.json": '{"type": "module"}',
            "src/m.js": "import fs from 'fs'; export const handler = async (e) => ['esm', e];",
        },
    ),
    "nested": ("a/b/m.x.y.run", {"a/b/m.js": "exports.x = {y: {run: async (e) => ['cjs', e]}};"}),
    "top-level-await": (
        "m.handler",
        {
            "m.mjs": "const k = await Promise.resolve('esm');"
            "export const handler = async (e) => [k, e];"
        },
    ),
    "package": (
        "dep.handler",
        {"node_modules/dep/index.js": "exports.handler = async (e) => ['cjs', e];"},
    ),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_module_loads(name: str) -> None:
    async def work(bench: Bench) -> None:
        if not has_node(bench.sandbox):
            pytest.skip("no Node.js on this machine")
        handler, files = SHAPES[name]
        box = await bench.start(files, handler=handler, runtime="nodejs20.x")
        assert await value(box, 1) == ["cjs" if "cjs" in str(files) else "esm", 1]
        assert await value(box, 2) == ["cjs" if "cjs" in str(files) else "esm", 2]

    run(work)


def test_layers_are_found_by_node_path() -> None:
    async def work(bench: Bench) -> None:
        layers = bench.code({"nodejs/node_modules/dep/index.js": "exports.a = 7;"})
        box = await bench.node(
            "const {a} = require('dep'); exports.handler = async () => a;",
            layers=layers,
            environment={"NODE_PATH": "/opt/nodejs/node_modules:/var/task"},
        )
        assert await value(box) == 7

    run(work)


@pytest.mark.parametrize(
    ("statement", "error", "exited"),
    [
        ("setTimeout(() => { throw new TypeError('late') }, 1);"
         "await new Promise(() => setTimeout(() => {}, 9e3))",
         "TypeError", Exited(129)),
        ("Promise.reject(new Error('r')); await new Promise((y) => setTimeout(y, 9e3))",
         "Runtime.UnhandledPromiseRejection", Exited(128)),
    ],
)  # fmt: skip
def test_what_nobody_catches_answers_and_ends_the_process(
    statement: str, error: str, exited: Exited
) -> None:
    async def work(bench: Bench) -> None:
        box = await bench.node(f"exports.handler = async () => {{ {statement} }};")
        assert (await failure(box))["errorType"] == error
        assert await box.exited() == exited  # type: ignore[attr-defined]

    run(work)


@pytest.mark.parametrize("code", [0, 3])
def test_process_exit_is_an_exit(code: int) -> None:
    async def work(bench: Bench) -> None:
        box = await bench.node(f"exports.handler = async () => process.exit({code});")
        with pytest.raises(BoxGone) as caught:
            await box.invoke(event())
        assert caught.value.exited == Exited(code)

    run(work)


def test_json_logs_with_a_level() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.node(
            "exports.handler = async () => { console.info('no'); console.warn('yes %s', 1);"
            " console.error(new Error('e')); console.error({a: 1}); };",
            environment={"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "WARN"},
        )
        await value(box)
        first, second, third = (json.loads(line) for line in bench.output)
        assert (first["level"], first["message"]) == ("WARN", "yes 1")
        assert first["requestId"] == event().request_id
        assert second["message"]["errorMessage"] == "e"
        assert third["message"] == {"a": 1}

    run(work)


def test_streaming_handlers_with_a_prelude() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.node(
            "exports.handler = awslambda.streamifyResponse(async (e, stream, c) => {"
            " stream = awslambda.HttpResponseStream.from(stream, {statusCode: 201});"
            " stream.write('a'); stream.write({b: 1}); stream.end(); });"
        )
        for _ in range(2):
            answer = await collected(await box.invoke(event()))
            assert answer.payload == b'{"statusCode":201}' + bytes(8) + b'a{"b":1}'
            assert answer.content_type == "application/vnd.awslambda.http-integration-response"

    run(work)


def test_the_first_bytes_arrive_before_the_handler_ends() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.node(
            "const fs = require('fs'); const path = process.env.LAMBDA_TASK_ROOT + '/flag';"
            "exports.handler = awslambda.streamifyResponse(async (e, stream) => {"
            " stream.setContentType('text/plain'); stream.write('first');"
            " while (!fs.existsSync(path)) await new Promise((r) => setTimeout(r, 5));"
            " stream.end('last'); });"
        )
        flag = next(bench.sandbox.code_root.iterdir()) / "flag"
        for _ in range(2):
            answer = await box.invoke(event())
            assert answer.stream is not None
            assert await anext(answer.stream) == b"first"
            assert answer.content_type == "text/plain"
            idle = asyncio.ensure_future(box.idle())
            flag.touch()  # only now can the handler go on
            assert [part async for part in answer.stream] == [b"last"]
            await idle
            flag.unlink()

    run(work)


def test_streams_that_fail_or_are_empty_and_the_environment_afterwards() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.node(
            "exports.handler = awslambda.streamifyResponse(async (how, stream) => {"
            " if (how === 'early') throw new TypeError('no');"
            " if (how === 'empty') return stream.end();"
            " stream.write('some');"
            " if (how === 'late') throw new RangeError('late');"
            " if (how === 'open') return;"
            " await new Promise((r) => setTimeout(r, 5)); process.exit(3); });"
        )
        early = await box.invoke(event("early"))
        assert (early.stream, early.error_type) == (None, "TypeError")
        empty = await collected(await box.invoke(event("empty")))
        assert (empty.payload, empty.content_type) == (b"", "application/octet-stream")
        for how, kind, text in (
            ("late", "RangeError", "late"),
            ("open", "string", "Response stream is not finished."),
        ):
            stream = (await box.invoke(event(how))).stream
            assert stream is not None
            assert await anext(stream) == b"some"
            with pytest.raises(StreamBroken) as caught:
                await anext(stream)
            assert caught.value.error_type == kind
            assert json.loads(caught.value.payload)["errorMessage"] == text
        stream = (await box.invoke(event("crash"))).stream
        assert stream is not None
        assert await anext(stream) == b"some"
        with pytest.raises(BoxGone, match="exit status 3"):
            await anext(stream)

    run(work)


def test_a_stream_goes_no_faster_than_it_is_read() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.node(
            "let sent = 0; const { once } = require('events');"
            "exports.handler = awslambda.streamifyResponse(async (n, stream) => {"
            " for (let i = 0; i < n; i++) {"
            "  if (!stream.write(Buffer.alloc(65536))) await once(stream, 'drain');"
            "  console.log('wrote'); }"
            " stream.end(); });"
        )
        count = 320  # 20 MiB
        stream = (await box.invoke(event(count))).stream
        assert stream is not None
        await bench.until(lambda: len(bench.output) >= 4)
        assert not stream.ended.done()
        assert sum([len(part) async for part in stream]) == count * 65_536
        assert len(bench.output) == count

    run(work)


def test_six_megabytes_both_ways() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.node("exports.handler = async (e) => e;", memory_mib=1024)
        assert await value(box, "é" * 2_000_000) == "é" * 2_000_000

    run(work)
