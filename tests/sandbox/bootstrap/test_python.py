"""Our Python bootstrap against AWS's own `awslambdaric`, which runs unmodified beside it."""

import contextlib
import json
import os
import re
from pathlib import Path

import pytest

from tests.sandbox.support import (
    CLIENT,
    OWN_PYTHON,
    Bench,
    event,
    failure,
    normal,
    pip_installed,
    run,
    value,
)

# Every way to end an invocation of Python: name -> event payload. `same` compares all of them.
pytestmark = pytest.mark.timeout(900)  # the first run on a machine installs and compiles


@pytest.fixture(scope="module", autouse=True)
def _clients_installed() -> None:
    """Before any test's own clock runs; without the registry, the tests that need it skip."""
    with contextlib.suppress(pytest.skip.Exception):
        pip_installed("awslambdaric")


PYTHON = """
import collections, decimal, logging, json, os, sys
print("loading", file=sys.stderr)
Point = collections.namedtuple("Point", "x y")
def deep(n):
    if n == 0:
        raise LookupError("down there")
    deep(n - 1)
class Odd(Exception):
    def __str__(self): return "odd\\nlines"
def handler(event, context):
    what = event["what"]
    if what == "echo": return event
    if what == "none": return None
    if what == "context":
        return {"all": repr(context), "left": context.get_remaining_time_in_millis() > 0,
                "trace": os.environ.get("_X_AMZN_TRACE_ID"), "w3c": context.w3c(),
                "custom": context.client_context and context.client_context.custom,
                "title": context.client_context and context.client_context.client.app_title}
    if what == "decimal": return {"a": decimal.Decimal("1.10"), "b": [decimal.Decimal("NaN")]}
    if what == "point": return {"p": Point(1, [Point(2, 3)]), "t": (1, 2)}
    if what == "nan": return float("nan")
    if what == "unicode": return {"\\u00e9": "\\u4e2d\\U0001f600"}
    if what == "surrogate": return "\\ud800"
    if what == "keys": return {1: "a", None: "b", True: "c", 1.5: "d"}
    if what == "set": return {"s": {1}}
    if what == "bytes": return b"\\x00raw"
    if what == "inner-bytes": return {"b": b"abc"}
    if what == "circle":
        a = []; a.append(a); return a
    if what == "value": raise ValueError("bad \\u00e9 value")
    if what == "odd": raise Odd()
    if what == "empty": raise KeyError()
    if what == "deep": deep(3)
    if what == "chain":
        try: json.loads("{")
        except ValueError as error: raise RuntimeError("outer") from error
    if what == "log":
        logging.warning("one %s", 1); logging.error("two\\nlines"); logging.info("not shown")
        logging.getLogger("x.y").critical("end"); print("printed")
        try: 1 / 0
        except ZeroDivisionError: logging.exception("caught")
        return "logged"
    if what == "print":
        print("a", "b"); print("c", end=""); sys.stderr.write("d\\ne"); return 1
handler.inner = handler
"""
CASES = (
    "echo", "none", "context", "decimal", "point", "nan", "unicode", "surrogate", "keys", "set",
    "bytes", "inner-bytes", "circle", "value", "odd", "empty", "deep", "chain", "log", "print",
)  # fmt: skip
BROKEN = {
    "import": ("m.handler", "import nowhere_to_be_found\n"),
    "import-raises": ("m.handler", "def f():\n    raise ValueError('at import')\nf()\n"),
    "syntax": ("m.handler", "def handler(:\n"),
    "missing-module": ("other.handler", ""),
    "missing-handler": ("m.nothing", ""),
    "malformed": ("nodot", ""),
    "builtin": ("sys.handler", ""),
    "nested": ("pkg/sub.missing", ""),
}


def ric(bench: Bench, handler: str, files: dict[str, str]) -> Path:
    package = pip_installed("awslambdaric")
    if not os.access("/usr/bin/python3.11", os.X_OK) or OWN_PYTHON != "python3.11":
        pytest.skip("needs a system-wide interpreter of the version that runs the tests")
    start = "#!/bin/sh\n"
    start += (
        f"PYTHONPATH=$LAMBDA_TASK_ROOT/client exec /usr/bin/python3.11 -m awslambdaric {handler}\n"
    )
    return bench.code_with(package, {**files, "bootstrap": start})


@pytest.mark.parametrize("log_format", ["Text", "JSON"])
def test_our_python_answers_and_logs_as_awslambdaric_does(log_format: str) -> None:
    async def work(bench: Bench) -> None:
        environment = {
            "AWS_LAMBDA_LOG_FORMAT": log_format,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.11",
        }
        theirs_code = ric(bench, "m.handler", {"m.py": PYTHON})
        ours_code = bench.code({"m.py": PYTHON})
        theirs = await bench.launch(theirs_code, runtime="provided.al2023", environment=environment)
        assert await theirs.ready() is None
        expected_start, bench.output[:] = normal(bench.output, theirs_code), []
        ours = await bench.launch(ours_code, environment=environment, runtime="python3.11")
        assert await ours.ready() is None
        assert normal(bench.output, ours_code) == expected_start
        for what in CASES:
            invocation = event(
                {"what": what}, client_context=CLIENT, trace_id="Root=1-2-3",
                cognito_identity='{"cognitoIdentityId":"i","cognitoIdentityPoolId":"p"}',
                tenant_id="blue",
            )  # fmt: skip
            results = []
            for box, code in ((theirs, theirs_code), (ours, ours_code)):
                bench.output.clear()
                answer = await box.invoke(invocation)
                body = answer.payload.replace(str(code).encode(), b"/var/task")
                results.append((body, bool(answer.error_type), normal(bench.output, code)))
            assert results[1] == results[0], what

    run(work)


@pytest.mark.parametrize("name", BROKEN)
def test_our_python_fails_to_start_as_awslambdaric_does(name: str) -> None:
    async def work(bench: Bench) -> None:
        handler, source = BROKEN[name]
        files = {"m.py": source, "pkg/sub.py": "", "pkg/__init__.py": ""}
        results = []
        for code, runtime in (
            (ric(bench, handler, files), "provided.al2023"),
            (bench.code(files), "python3.11"),
        ):
            bench.output.clear()
            environment = {"AWS_EXECUTION_ENV": "AWS_Lambda_python3.11"}
            box = await bench.launch(
                code, handler=handler, runtime=runtime, environment=environment
            )
            failed = await box.ready()
            assert failed is not None
            gone = await box.exited()  # type: ignore[attr-defined]
            error = json.loads(failed.payload.replace(str(code).encode(), b"/var/task"))
            frames = [re.sub(r'File "[^"]*/lib/', 'File "lib/', f) for f in error["stackTrace"]]
            error["stackTrace"] = [re.sub(r"line \d+", "line N", f) for f in frames]
            logged = [
                re.sub(r"line \d+", "line N", re.sub(r'File "[^"]*/lib/', 'File "lib/', line))
                for line in normal(bench.output, code)
            ]
            results.append((error, logged, gone))
        assert results[1] == results[0]

    run(work)


def test_awslambdaric_takes_six_megabytes_both_ways() -> None:
    async def work(bench: Bench) -> None:
        code = ric(bench, "m.handler", {"m.py": "def handler(e, c):\n    return e\n"})
        box = await bench.launch(code, runtime="provided.al2023", memory_mib=1024)
        assert await box.ready() is None
        assert await value(box, "x" * 6_000_000) == "x" * 6_000_000
        assert await value(box, [1]) == [1]

    run(work)


def test_awslambdaric_that_answers_too_much_gets_awss_error_and_goes_on() -> None:
    async def work(bench: Bench) -> None:
        code = ric(bench, "m.handler", {"m.py": "def handler(e, c):\n    return 'x' * e\n"})
        box = await bench.launch(code, runtime="provided.al2023", memory_mib=1024)
        assert await box.ready() is None
        error = await failure(box, 7_000_000)
        assert error["errorType"] == "Function.ResponseSizeTooLarge"

    run(work)
