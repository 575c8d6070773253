"""Our runtime for python3.x: what AWS's runtime does, over the framed channel instead of HTTP.

Imported by the nursery before it forks (so importing costs an environment nothing) and run in the
child by `run`. It catches what user code raises, all of it, because that is its job. Standard
library only, Python 3.8 and later, and one file, as it is loaded by its path. Frames: channel.py.

Source: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, observable behaviour of
https://pypi.org/project/awslambdaric/, against which tests compare this file.
"""

from __future__ import annotations  # Python 3.8

import atexit
import contextlib
import decimal
import importlib
import io
import json
import logging
import math
import os
import re
import resource
import site
import socket
import struct
import sys
import threading
import time
import traceback
import types
from typing import Any, Callable, NoReturn

HEADER = struct.Struct(">BxHII")  # type, meta length, payload length, sequence
INVOKE = 2
READY, INIT_ERROR, RESULT, ERROR = 16, 17, 18, 19
RECORD, RECORD_NEWLINE = b"\x1e", b"\0"  # a log record of several lines: see output.py
ERRORS = "backslashreplace"  # what cannot be encoded is shown, never raised
NO_BREAK_SPACE = "\u00a0"
_EXECUTION_ENV = re.compile(r"AWS_Lambda_python3\.(\d+)")
ASCII_ONLY_BEFORE = (3, 12)  # from this version on AWS writes JSON without \u escapes

WARNING_ON_INIT_ERROR = (
    "LAMBDA_WARNING: Unhandled exception. The most likely cause is an issue in the function code. "
    "However, in rare cases, a Lambda runtime update can cause unexpected function behavior. "
    "For functions using managed runtimes, runtime updates can be triggered by a function change, "
    "or can be applied automatically. To determine if the runtime has been updated, check the "
    "runtime version in the INIT_START log entry. If this error correlates with a change in the "
    "runtime version, you may be able to mitigate this error by temporarily rolling back to the "
    "previous runtime version. For more information, see "
    "https://docs.aws.amazon.com/lambda/latest/dg/runtimes-update.html\r"
)

for _builtins in (site.setquit, site.setcopyright, site.sethelper):  # `-S` left out exit and help
    _builtins()


class Fault(Exception):  # noqa: N818 - what it is called in AWS's traces
    """An error that the runtime itself reports, under one of AWS's names."""

    def __init__(self, kind: str, message: str, trace: list[str] | None = None) -> None:
        super().__init__(message)
        self.kind, self.message, self.trace = kind, message, trace


# ---- what user code sees ----


class _Fields:
    """An object with fixed fields, None where the client sent nothing."""

    __slots__: tuple[str, ...] = ()

    def __init__(self, values: dict[str, Any]) -> None:
        for name in self.__slots__:
            setattr(self, name, values.get(name))

    def __repr__(self) -> str:
        fields = ",".join("%s=%s" % (name, getattr(self, name)) for name in self.__slots__)
        return "%s([%s])" % (type(self).__name__, fields)


class CognitoIdentity(_Fields):
    __slots__ = ("cognito_identity_id", "cognito_identity_pool_id")


class Client(_Fields):
    __slots__ = (  # noqa: RUF023 - in the order that AWS's repr has
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    )


class ClientContext(_Fields):
    __slots__ = ("custom", "env", "client")  # noqa: RUF023


class LambdaContext:
    """The handler's second argument."""

    _SHOWN = (
        "aws_request_id",
        "log_group_name",
        "log_stream_name",
        "function_name",
        "memory_limit_in_mb",
        "function_version",
        "invoked_function_arn",
        "client_context",
        "identity",
        "tenant_id",
    )

    def __init__(self, meta: dict[str, Any]) -> None:
        env = os.environ.get
        self.aws_request_id = meta["id"]
        self.log_group_name = env("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = env("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = env("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = env("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = meta["arn"]
        self.tenant_id = meta.get("tenant")
        client = _parse_context(meta.get("client"), "Client Context")
        self._w3c = _take_w3c(client)
        if client is not None and client.get("client") is not None:
            client["client"] = Client(client["client"])
        self.client_context = None if client is None else ClientContext(client)
        identity = _parse_context(meta.get("cognito"), "Cognito Identity") or {}
        self.identity = CognitoIdentity(
            {
                "cognito_identity_id": identity.get("cognitoIdentityId"),
                "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
            }
        )
        self._epoch_deadline_time_in_ms = meta["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        left = self._epoch_deadline_time_in_ms - int(time.time() * 1000)
        return left if left > 0 else 0

    def w3c(self) -> dict[str, str]:
        return dict(self._w3c)

    def log(self, msg: object) -> None:
        write_record(str(msg))

    def __repr__(self) -> str:
        shown = ",".join("%s=%s" % (name, getattr(self, name)) for name in self._SHOWN)
        return "LambdaContext([%s])" % shown


def _parse_context(text: str | None, name: str) -> Any:
    if not text:
        return None
    try:
        return json.loads(text)
    except Exception as error:
        raise Fault(
            "Runtime.LambdaContextUnmarshalError", "Unable to parse %s JSON: %s" % (name, error)
        ) from None


def _take_w3c(client: Any) -> dict[str, str]:
    found = client.pop("w3c", None) if isinstance(client, dict) else None
    if not isinstance(found, dict):
        return {}
    names = ("traceparent", "tracestate", "baggage")
    return {name: found[name] for name in names if isinstance(found.get(name), str)}


# ---- JSON as AWS writes it ----


class _Encoder(json.JSONEncoder):
    """Numbers of any precision (Decimal), bytes as text, named tuples as objects."""

    def __init__(self, ensure_ascii: bool) -> None:
        super().__init__(ensure_ascii=ensure_ascii)
        self._numbers: list[str] = []
        self._mark = "\x1alambent%s:" % os.urandom(8).hex()

    def default(self, o: Any) -> Any:
        if isinstance(o, decimal.Decimal):
            if o.is_nan():
                return math.nan
            self._numbers.append(str(o))
            return "%s%d" % (self._mark, len(self._numbers) - 1)
        if isinstance(o, bytes):
            return o.decode("utf-8")
        return super().default(o)

    def text(self, value: Any) -> str:
        self._numbers.clear()
        text = self.encode(_plain(value) if _has_named(value) else value)
        if not self._numbers:
            return text
        mark = re.escape(json.dumps(self._mark)[:-1])
        return re.sub(mark + r'(\d+)"', lambda found: self._numbers[int(found[1])], text)


def _has_named(value: Any) -> bool:
    """Whether a named tuple is anywhere inside (those become objects, which json does not do)."""
    try:
        kind = type(value)
        if kind is dict:
            return any(_has_named(item) for item in value.values() if type(item) not in _LEAVES)
        if kind is list:
            return any(_has_named(item) for item in value if type(item) not in _LEAVES)
        if isinstance(value, tuple):
            return hasattr(value, "_asdict") or any(_has_named(item) for item in value)
        return False
    except RecursionError:
        return False  # the encoder finds the circle, in its own words


_LEAVES = frozenset((str, int, float, bool, type(None)))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return {key: _plain(item) for key, item in value._asdict().items()}
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


# ---- logs ----

_request_id = ""
_tenant_id: str | None = None


def write_all(data: bytes) -> None:
    """Write to the output pipe, after what print has buffered."""
    for stream in _streams:
        stream.flush()
    while data:
        data = data[os.write(1, data) :]


def write_record(text: str) -> None:
    """One log record, which stays one event however many lines it has."""
    data = text.encode("utf-8", ERRORS)
    body = data[:-1] if data.endswith(b"\n") else data
    if b"\n" in body:
        body = RECORD + body.replace(b"\n", RECORD_NEWLINE)
    write_all(body + b"\n" if data.endswith(b"\n") or body[:1] == RECORD else body)


class _Sink:
    def log(self, msg: str, frame_type: bytes | None = None) -> None:  # noqa: ARG002
        write_record(msg)


class LambdaLoggerHandler(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.log_sink = _Sink()

    def emit(self, record: logging.LogRecord) -> None:
        write_record(self.format(record))


class _RequestFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.aws_request_id = _request_id or ""
        record.tenant_id = _tenant_id
        return True


_RESERVED = frozenset(vars(logging.makeLogRecord({}))) | {
    "aws_request_id",
    "tenant_id",
    "_frame_type",
    "message",
    "asctime",
}


class JsonFormatter(logging.Formatter):
    """AWS_LAMBDA_LOG_FORMAT=JSON: one object a line."""

    def format(self, record: logging.LogRecord) -> str:
        level = min(50, max(0, record.levelno)) // 10 * 10
        error = record.exc_info if record.exc_info and record.exc_info[0] else None
        fields = {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": logging.getLevelName(level),
            "message": record.msg
            if isinstance(record.msg, dict) and not record.args
            else record.getMessage(),
            "logger": record.name,
            "stackTrace": traceback.format_tb(error[2]) if error else None,
            "errorType": error[0].__name__ if error else None,
            "errorMessage": str(error[1]) if error else None,
            "requestId": vars(record)["aws_request_id"],
            "location": "%s:%s:%s" % (record.pathname, record.funcName, record.lineno)
            if error
            else None,
            "tenantId": vars(record)["tenant_id"],
        }
        for key, value in vars(record).items():
            if key not in _RESERVED and key not in fields:
                fields[key] = value
        kept = {key: value for key, value in fields.items() if value is not None}
        return json.dumps(kept, ensure_ascii=False, default=str) + "\n"


def set_up_logging(log_format: str, level: str) -> None:
    logging.Formatter.converter = time.gmtime
    handler = LambdaLoggerHandler()
    if log_format == "JSON":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(
            logging.Formatter(
                "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
                "%Y-%m-%dT%H:%M:%S",
            )
        )
    handler.addFilter(_RequestFilter())
    root = logging.getLogger()
    level = {"TRACE": "DEBUG"}.get(level, level)
    if level in logging._nameToLevel:
        root.setLevel(level)
    root.addHandler(handler)


def log_error(error: dict[str, Any], encoder: _Encoder | None) -> None:
    """Write an unhandled error the way AWS does: one record, indented by no-break spaces."""
    if encoder is not None:  # the JSON format
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        line = {"timestamp": stamp, "level": "ERROR"}
        write_record(encoder.text(dict(line, **error)) + "\n")
        return
    kind, message = error["errorType"], error["errorMessage"]
    first = "[ERROR]" + (" " + kind if kind else "")
    if message:
        first += (":" if kind else "") + " " + message
    lines = [first, "Traceback (most recent call last):"]
    for entry in error["stackTrace"]:
        for line in entry.splitlines():
            text = line.lstrip(" ")
            lines.append(NO_BREAK_SPACE * (len(line) - len(text)) + text)
    write_record("\n".join(lines) + "\n")


# ---- errors ----


def _error(message: str, kind: str, trace: list[str] | None, request_id: str) -> dict[str, Any]:
    error = {
        "errorMessage": message or "",
        "errorType": kind or "",
        "requestId": request_id,
        "stackTrace": trace or [],
    }
    if sys.version_info < (3, 9):
        del error["requestId"]  # AWS's last client for Python 3.8 does not tell it (recorded)
    return error


def _user_error(request_id: str) -> dict[str, Any]:
    """The exception being handled, with this file's frames left out."""
    kind, value, tb = sys.exc_info()
    assert kind is not None
    frames = [(f.filename, f.lineno or 0, f.name, f.line) for f in traceback.extract_tb(tb)]
    for index, frame in enumerate(frames):
        if frame[0] != __file__:
            frames = frames[index:]
            break
    return _error(str(value), kind.__name__, traceback.format_list(frames), request_id)


def find_handler(name: str) -> Callable[[Any, LambdaContext], Any]:
    """Import the module and get the function; Fault by AWS's names, or what the import raised."""
    try:
        module_name, function = name.rsplit(".", 1)
    except ValueError as error:
        raise Fault(
            "Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (name, error)
        ) from None
    if module_name.split(".")[0] in sys.builtin_module_names:
        raise Fault(
            "Runtime.BuiltInModuleConflict",
            "Cannot use built-in module %s as a handler module" % module_name,
        )
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except ImportError as error:
        raise Fault(
            "Runtime.ImportModuleError",
            "Unable to import module '%s': %s" % (module_name, error),
        ) from None
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        text = "Syntax error in module '%s': %s" % (module_name, error)
        raise Fault("Runtime.UserCodeSyntaxError", text, trace) from None
    try:
        return getattr(module, function)  # type: ignore[no-any-return]  # user code
    except AttributeError:
        text = "Handler '%s' missing on module '%s'" % (function, module_name)
        raise Fault("Runtime.HandlerNotFound", text) from None


# ---- the life of the process ----

_streams: tuple[io.TextIOWrapper, ...] = ()


def run(channel: socket.socket, start: dict[str, Any]) -> int:
    """Be one environment until the server ends it; returns the exit code."""
    try:
        settle(start)
        return Runtime(channel, start["handler"]).serve()
    except SystemExit as stop:
        return leave(stop.code)
    except BaseException:
        traceback.print_exc()
        return leave(1)


def leave(code: object) -> int:
    """What an interpreter does on its way out: threads, exit functions, buffers."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    try:
        vars(threading)["_shutdown"]()
        atexit._run_exitfuncs()
    except BaseException:
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    return (code or 0) & 0xFF


def settle(start: dict[str, Any]) -> None:
    """Take on the function's variables, paths and streams."""
    global _streams  # noqa: PLW0603
    os.environ.clear()
    os.environ.update(start["environment"])
    time.tzset()
    sys.path[:] = search_path(start["environment"], start["layers"] or "/opt", sys.path)
    sys.dont_write_bytecode = True  # the code is read-only
    sys.argv = ["/var/runtime/bootstrap.py"]
    sys.modules["__nursery__"] = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    del sys.modules["__nursery__"]
    # One buffer for both, as both are one pipe: what was written first arrives first.
    buffer = open(1, "wb", closefd=False)  # noqa: SIM115 - for life
    _streams = tuple(
        io.TextIOWrapper(buffer, "utf-8", ERRORS, line_buffering=True, write_through=True)
        for _ in range(2)
    )
    for name, stream in zip(("stdout", "stderr"), _streams):  # noqa: B905 - Python 3.8
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


def search_path(environment: dict[str, str], opt: str, standard: list[str]) -> list[str]:
    """sys.path: the code, its layers, PYTHONPATH, the standard library, its site-packages."""
    version = "python%d.%d" % sys.version_info[:2]
    layers = [opt + "/python/lib/" + version + "/site-packages", opt + "/python"]
    extra = [path for path in environment.get("PYTHONPATH", "").split(":") if path]
    packages = os.path.join(sys.base_prefix, "lib", version, "site-packages")
    own = environment.get("LAMBDA_TASK_ROOT", "/var/task")
    return list(dict.fromkeys([own, *layers, *extra, *standard, packages]))


class Runtime:
    """The loop: import the handler, then event in, answer out."""

    def __init__(self, channel: socket.socket, handler: str) -> None:
        self.channel, self.handler_name = channel, handler
        env = os.environ
        self.log_format = "JSON" if env.get("AWS_LAMBDA_LOG_FORMAT", "").upper() == "JSON" else ""
        newest = _EXECUTION_ENV.match(env.get("AWS_EXECUTION_ENV", ""))
        self.encoder = _Encoder(ensure_ascii=not newest or int(newest[1]) < ASCII_ONLY_BEFORE[1])
        self.pid = os.getpid()

    def serve(self) -> NoReturn:
        set_up_logging(self.log_format, os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper())
        error = None
        try:
            handler = find_handler(self.handler_name)
        except Fault as fault:
            error = _error(fault.message, fault.kind, fault.trace, "")
        except Exception:
            error = _user_error("")
        if error is not None:
            logging.warning(WARNING_ON_INIT_ERROR)
            log_error(error, self.encoder if self.log_format else None)
            self.send(INIT_ERROR, {"type": error["errorType"]}, self.json(error), 0)
            raise SystemExit(1)
        self.send(READY, {}, b"", 0)
        while True:
            meta, payload, sequence = self.receive()
            self.invoke(handler, meta, payload, sequence)

    def invoke(
        self,
        handler: Callable[[Any, LambdaContext], Any],
        meta: dict[str, Any],
        payload: bytes,
        sequence: int,
    ) -> None:
        """One event; SystemExit and the like pass through and end the process."""
        global _request_id, _tenant_id
        _request_id, _tenant_id = meta["id"], meta.get("tenant")
        if "trace" in meta:
            os.environ["_X_AMZN_TRACE_ID"] = meta["trace"]
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        error = None
        try:
            context = LambdaContext(meta)
            event = self.parse(payload)
            result, content_type = self.marshal(handler(event, context))
        except Fault as fault:
            error = _error(fault.message, fault.kind, fault.trace, _request_id)
        except Exception:
            error = _user_error(_request_id)
        if os.getpid() != self.pid:
            os._exit(0)  # a fork of the handler came back: the answer is the original's affair
        if error is not None:
            log_error(error, self.encoder if self.log_format else None)
            self.send(ERROR, {"type": error["errorType"]}, self.json(error), sequence)
        else:
            self.send(RESULT, {"content": content_type} if content_type else {}, result, sequence)

    @staticmethod
    def parse(payload: bytes) -> Any:
        try:
            return json.loads(payload)
        except Exception as error:
            text = "Unable to unmarshal input: %s" % error
            raise Fault("Runtime.UnmarshalError", text) from None

    def marshal(self, response: Any) -> tuple[bytes, str]:
        if isinstance(response, bytes):
            return response, "application/unknown"
        try:
            return self.json(response), ""
        except Exception as error:
            text = "Unable to marshal response: %s" % error
            raise Fault("Runtime.MarshalError", text) from None

    def json(self, value: Any) -> bytes:
        return self.encoder.text(value).encode("utf-8", "surrogatepass")

    def send(self, kind: int, meta: dict[str, Any], payload: bytes, sequence: int) -> None:
        """Everything printed so far goes out first: the server reads it before the answer."""
        for stream in _streams:
            with contextlib.suppress(ValueError):  # user code closed it
                stream.flush()
        meta["rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        head = json.dumps(meta).encode()
        data = HEADER.pack(kind, len(head), len(payload), sequence) + head
        if len(payload) < 65536:
            self.channel.sendall(data + payload)
        else:
            self.channel.sendall(data)
            self.channel.sendall(payload)

    def receive(self) -> tuple[dict[str, Any], bytes, int]:
        """The next event: (meta, payload, sequence). The server's end ends the process."""
        data = self.channel.recv(65536)
        while len(data) < HEADER.size:
            more = self.channel.recv(65536)
            if not more:
                os._exit(0)
            data += more
        _, meta_size, size, sequence = HEADER.unpack_from(data)
        whole = HEADER.size + meta_size + size
        if len(data) < whole:
            buffer = bytearray(whole)
            buffer[: len(data)] = data
            view, got = memoryview(buffer), len(data)
            while got < whole:
                count = self.channel.recv_into(view[got:])
                if not count:
                    os._exit(0)
                got += count
            data = bytes(buffer)
        split = HEADER.size + meta_size
        return json.loads(data[HEADER.size : split]), data[split:whole], sequence


def warm_up() -> None:
    """Use once, in the parent, what every environment uses: its first use costs the most."""
    _Encoder(True).text({"a": [1, "b", None]})
    json.loads('{"a": [1, "b", null]}')
    stream = io.TextIOWrapper(io.BufferedWriter(io.FileIO(os.devnull, "w")), "utf-8", ERRORS)
    print("warm", file=stream)
    stream.close()
    logging.Formatter("%(message)s").format(logging.makeLogRecord({"msg": "warm"}))
    search_path({}, "/opt", sys.path)
    time.strftime("%Y")


warm_up()
