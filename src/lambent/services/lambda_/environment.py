"""One execution environment: init -> idle <-> busy -> gone, around one box of the sandbox.

Times here are real: they are what user code lives through. An init that fails is done again inside
the first invocation, under the function's timeout. A timeout or a crash resets the environment: its
processes end, its /tmp and its log stream stay, and the next invocation begins with an init.
Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import asyncio
import dataclasses
import json
from pathlib import Path

from msgspec import Struct

from lambent.base.clock import monotonic, wall_ms
from lambent.kernel import Ctx, Wire
from lambent.kernel.identity import Issued
from lambent.sandbox.box import (
    Answer,
    Box,
    BoxGone,
    Exited,
    Extensions,
    InvalidEntrypointError,
    Invocation,
    Sandbox,
    Spec,
)
from lambent.sandbox.streams import collected
from lambent.services.lambda_ import limits
from lambent.services.lambda_.reporting import LogStream, Report
from lambent.services.lambda_.variables import variables


class Outcome(Struct, frozen=True):
    """What an invocation answers. `error` is the X-Amz-Function-Error header, or empty."""

    payload: bytes
    error: str
    log_tail: str
    executed_version: str
    report: Report


class Failure(Struct, frozen=True):
    """Why there is no answer: AWS's error type and text, or the runtime's own error object."""

    error_type: str
    message: str = ""
    body: bytes = b""

    @property
    def status(self) -> str:
        """As REPORT prints it."""
        return "timeout" if self.error_type == "Sandbox.Timedout" else "error"

    @property
    def reason(self) -> str:
        """As extensions are told it."""
        return "timeout" if self.status == "timeout" else "failure"

    def payload(self, request_id: str) -> bytes:
        """The error object that the caller gets."""
        if self.body:
            return self.body
        # A process that was killed for its memory is, to the caller, one that exited.
        kind = self.error_type.replace("Runtime.OutOfMemory", "Runtime.ExitError")
        return _error(kind, f"RequestId: {request_id} Error: {self.message}")

    @classmethod
    def timed_out(cls, timeout_s: float) -> "Failure":
        """The function's timeout passed."""
        return cls("Sandbox.Timedout", f"Task timed out after {timeout_s:.2f} seconds")

    @classmethod
    def exited(cls, exited: Exited) -> "Failure":
        """The runtime ended by itself, or was killed for its memory; or an extension failed."""
        if exited.error_type:
            return cls(exited.error_type, str(exited))
        how = f"with error: {exited}" if str(exited) else "without providing a reason"
        kind = "Runtime.OutOfMemory" if exited.out_of_memory else "Runtime.ExitError"
        return cls(kind, f"Runtime exited {how}")


class Environment:
    """An execution environment bound to one function version's code and configuration."""

    def __init__(
        self, ctx: Ctx, sandbox: Sandbox, record: Wire, code: Path, credentials: Issued
    ) -> None:
        self.id = ctx.platform.ids.hex(32)
        self.record = record
        self.credentials = credentials
        self.state = "init"
        self.began_s = monotonic()
        self.invocations = 0
        self.box: Box | None = None
        self._extensions: Extensions | None = None
        """Of the box, if any has registered."""
        self._log = LogStream(ctx, record)
        self._sandbox = sandbox
        self._init_ms: float | None = None
        self._needs_init = False
        self._timeout_s = float(record["Timeout"])
        self._spec = Spec(
            id=self.id,
            runtime=record["Runtime"],
            handler=record["Handler"],
            task_root=code,
            layers_root=None,
            environment=variables(ctx, record, credentials, self._log.name),
            memory_mib=record["MemorySize"],
            tmp_mib=record["EphemeralStorage"]["Size"],
            init_timeout_s=limits.INIT_S_MAX,
            on_output=self._log.output,
            account=ctx.account,
        )

    def note(self, text: str) -> None:
        """A remark of the platform's in the function's log."""
        self._log.output(text.encode())

    async def init(self) -> None:
        """The init phase. A failure is logged and remembered: the first invocation repeats it.

        Errors: LaunchError.
        """
        arn = self.record["RuntimeVersionConfig"]["RuntimeVersionArn"]
        self._log.init_start(_runtime_version(self.record["Runtime"]), arn)
        began_s = monotonic()
        failure = await self._launch("init", limits.INIT_S_MAX)
        if failure is None:
            self._init_ms = (monotonic() - began_s) * 1000
        self._needs_init = failure is not None
        self.state = "idle"

    async def invoke(self, invocation: Invocation, *, tail: bool = False) -> Outcome:
        """Run one event. After it, `state` is `idle` again, whatever became of the event.

        With `tail` the outcome holds the end of the log.

        Errors: LaunchError.
        """
        self.state = "busy"
        self.invocations += 1
        self._log.start(invocation.request_id, tail=tail)
        began_s = monotonic()
        result = await self._run(invocation)
        duration_ms = (monotonic() - began_s) * 1000
        report = Report(
            invocation.request_id,
            duration_ms,
            self.record["MemorySize"],
            self.box.memory_used_mib() if self.box else 0,
            self._init_ms,
        )
        self._init_ms = None
        if isinstance(result, Failure):
            return await self._failed(result, report)
        self.state = "idle"
        if self.box is not None:
            self.box.freeze()
        return self._answered(result, report)

    async def close(self, reason: str = "spindown") -> None:
        """Shut the environment down; it is gone afterwards. `reason`: what extensions are told."""
        self.state = "gone"
        if self.box is not None:
            await self.box.close(reason=reason)
        if self._spec.tmp is not None:
            self._spec.tmp.discard()
        self._log.flush()

    async def _run(self, invocation: Invocation) -> Answer | Failure:
        left_s = self._timeout_s
        if self._needs_init:
            self._needs_init = False
            began_s = monotonic()
            failure = await self._launch("invoke", self._timeout_s)
            if failure is not None:
                return failure
            left_s -= monotonic() - began_s
        assert self.box is not None
        try:
            async with asyncio.timeout(left_s):
                answer = await collected(await self.box.invoke(invocation))
                if self._extensions is not None:
                    await self.box.idle()  # the invocation ends when they are done, too
                return answer
        except TimeoutError:
            return Failure.timed_out(self._timeout_s)
        except BoxGone as gone:
            return Failure.exited(gone.exited)

    async def _launch(self, phase: str, timeout_s: float) -> Failure | None:
        """Start a box and wait until its runtime is ready; log why if it is not."""
        await self._reset("failure")
        began_s, began_ms = monotonic(), wall_ms()
        failure = None
        try:
            async with asyncio.timeout(timeout_s):
                self.box = await self._sandbox.launch(self._spec)
                if self.box.extensions is not None:
                    start = self._init_record(phase)
                    self.box.extensions.tell("platform.initStart", start, began_ms)
                if error := await self.box.ready():
                    failure = Failure(error.error_type, body=error.payload)
        except TimeoutError:
            failure = Failure.timed_out(timeout_s)
        except BoxGone as gone:
            failure = Failure.exited(gone.exited)
        except InvalidEntrypointError as error:
            failure = Failure("Runtime.InvalidEntrypoint", str(error))
        if self.box is not None and self.box.extensions is not None:
            self._introduce(self.box.extensions, phase, failure, (monotonic() - began_s) * 1000)
        if failure is not None:
            took_ms = (monotonic() - began_s) * 1000
            self._log.init_report(took_ms, phase, failure.status, failure.error_type)
            await self._reset(failure.reason)
        return failure

    async def _reset(self, reason: str) -> None:
        """End its processes; what is in /tmp stays for those that come after."""
        box, self.box = self.box, None
        if box is not None:
            if (tmp := box.keep_tmp()) is not None:
                self._spec = dataclasses.replace(self._spec, tmp=tmp)
            await box.close(reason=reason)

    def _introduce(
        self, extensions: Extensions, phase: str, failure: Failure | None, took_ms: float
    ) -> None:
        """Log the extensions of a new box, and tell them how its init went."""
        states = extensions.states()
        self._extensions = extensions if states else None
        for subscribed in extensions.subscribed():
            self._log.subscription(subscribed)
        for state in states:
            self._log.extension(state)
        status = failure.status if failure else "success"
        record = {"initializationType": "on-demand", "phase": phase, "status": status}
        metrics = {"durationMs": round(took_ms, 3)}
        extensions.tell("platform.initReport", {**record, "metrics": metrics})

    def _init_record(self, phase: str) -> Wire:
        """The `platform.initStart` of telemetry."""
        return {
            "initializationType": "on-demand",
            "phase": phase,
            "runtimeVersion": _runtime_version(self.record["Runtime"]),
            "runtimeVersionArn": self.record["RuntimeVersionConfig"]["RuntimeVersionArn"],
            "functionName": self.record["FunctionName"],
            "functionVersion": self.record["Version"],
            "instanceId": self._log.name,
            "instanceMaxMemory": self.record["MemorySize"] << 20,
        }

    async def _failed(self, failure: Failure, report: Report) -> Outcome:
        report.status = failure.status
        note = ""
        if failure.status == "timeout":
            note = f"{report.request_id} {failure.message}"
            report.duration_ms = self._timeout_s * 1000
        else:
            report.error_type = failure.error_type
        self._tell(report)
        await self._reset(failure.reason)
        self._needs_init, self.state = True, "idle"
        payload = failure.payload(report.request_id)
        tail = self._log.end(report, note)
        return Outcome(payload, "Unhandled", tail, self.record["Version"], report)

    def _tell(self, report: Report) -> None:
        """The figures of an invocation, to extensions that subscribed."""
        if self._extensions is not None:
            self._extensions.tell("platform.end", {"requestId": report.request_id})
            self._extensions.tell("platform.report", report.record())

    def _answered(self, answer: Answer, report: Report) -> Outcome:
        if self._extensions is not None:
            self._tell(report)
        payload, error = answer.payload, "Unhandled" if answer.error_type else ""
        if len(payload) > limits.RESPONSE_BYTES_MAX:
            message = (
                "Response payload size exceeded maximum allowed payload size "
                f"({limits.RESPONSE_BYTES_MAX} bytes)."
            )
            payload, error = _error("Function.ResponseSizeTooLarge", message), "Unhandled"
        return Outcome(payload, error, self._log.end(report), self.record["Version"], report)


def _error(kind: str, message: str) -> bytes:
    return json.dumps({"errorMessage": message, "errorType": kind}).encode()


def _runtime_version(runtime: str) -> str:
    """`python:3.12.v1`, as INIT_START prints it; `provided.al2023` stays as it is."""
    for language in ("python", "nodejs"):
        if runtime.startswith(language):
            version = runtime.removeprefix(language).removesuffix(".x")
            return f"{language}:{version}.v1"
    return runtime.replace(".", ":", 1)
