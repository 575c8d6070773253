"""The sandbox protocol: what Lambda's environments ask of every isolation level.

A `Sandbox` is one level of isolation (`process`, `namespace`, later `microvm`). It launches a
`Box`: one execution environment's processes around one runtime, which then takes invocations one
at a time. How the runtime is spoken to (our framed pipe, or AWS's HTTP Runtime API) is the box's
own affair.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from lambent.sandbox.streams import Stream


class Tmp(Protocol):
    """The /tmp of an environment that is gone, kept for the next one of the same function."""

    def discard(self) -> None:
        """Nobody wants it any more. Idempotent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What to run. Everything the code may see is named here; nothing is inherited."""

    id: str
    """Names the environment in folders and processes; unique among live boxes."""
    runtime: str
    """AWS's id: `python3.12`, `nodejs20.x`, `provided.al2023`."""
    handler: str
    task_root: Path
    """Unpacked code, read-only for the code."""
    layers_root: Path | None
    """What appears as /opt, if anything."""
    environment: Mapping[str, str]
    """The whole environment of the runtime, in AWS's terms (LAMBDA_TASK_ROOT=/var/task and so on);
    a level that cannot mount there translates those paths."""
    memory_mib: int
    tmp_mib: int
    init_timeout_s: float
    on_output: Callable[[bytes], None]
    """Gets what the code wrote to stdout and stderr, in whole lines without the newline where
    possible, each at most `LINE_BYTES_MAX` long."""
    account: str = ""
    """The account id, for extensions that ask for it."""
    tmp: Tmp | None = None
    """A /tmp to go on with, from `Box.keep_tmp`; used up by the launch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One event for the runtime; times are milliseconds since the epoch."""

    request_id: str
    payload: bytes
    deadline_ms: int
    function_arn: str
    trace_id: str = ""
    client_context: str = ""
    """JSON text, or empty."""
    cognito_identity: str = ""
    """JSON text, or empty."""
    tenant_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the runtime posted for an invocation."""

    payload: bytes
    error_type: str = ""
    """Empty for a result; else the runtime's error type, and `payload` is its error object."""
    content_type: str = "application/json"
    stream: "Stream | None" = None
    """Set instead of `payload` when the runtime streams its response: bytes as they arrive."""


@dataclass(frozen=True, slots=True)
class InitError:
    """The runtime reported `/init/error`; `payload` is its error object."""

    payload: bytes
    error_type: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The runtime process ended: by `code`, or by `signal` (then code is None)."""

    code: int | None
    signal: int | None = None
    out_of_memory: bool = False
    error_type: str = ""
    """Set when it is not the runtime that ended, but an extension that failed: `Extension.Crash`;
    then `text` says how."""
    text: str = ""

    def __str__(self) -> str:
        """AWS's words: `exit status 1`, `signal: killed`; empty for a clean exit."""
        if self.text:
            return self.text
        if self.signal is not None:
            return f"signal: {SIGNAL_WORDS.get(self.signal, self.signal)}"
        return f"exit status {self.code}" if self.code else ""


SIGNAL_WORDS: Mapping[int, str] = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    11: "segmentation fault",
    13: "broken pipe",
    15: "terminated",
    24: "CPU time limit exceeded",
    25: "file size limit exceeded",
    31: "bad system call",
}  # fmt: skip - Go's syscall names, as AWS prints them


class BoxGone(Exception):  # noqa: N818 - a state that is reported, not a mistake
    """The runtime exited while it was being waited for."""

    def __init__(self, exited: Exited) -> None:
        super().__init__(str(exited))
        self.exited = exited


class LaunchError(Exception):
    """The environment could not be started; the text names the reason."""


class InvalidEntrypointError(LaunchError):
    """A provided runtime has no executable bootstrap: `Runtime.InvalidEntrypoint`.

    The text is AWS's, to be told after `RequestId: <id> Error: `.
    """


@dataclass(frozen=True, slots=True)
class ExtensionState:
    """An extension, as an EXTENSION line shows it."""

    name: str
    state: str
    events: tuple[str, ...]
    error_type: str = ""


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription to telemetry, as a TELEMETRY (or LOGS) line shows it."""

    api: str
    """`telemetry` or `logs`."""
    name: str
    types: tuple[str, ...]


class Extensions(Protocol):
    """The extensions of one environment, as Lambda sees them."""

    def states(self) -> Sequence[ExtensionState]:
        """Those that registered, and those that failed to."""

    def subscribed(self) -> Sequence[Subscribed]:
        """Who gets telemetry."""

    def tell(self, kind: str, record: Mapping[str, object], when_ms: int | None = None) -> None:
        """A `platform.*` event for those who subscribed to such."""


class Box(Protocol):
    """One live execution environment."""

    id: str
    pid: int

    @property
    def extensions(self) -> Extensions | None:
        """None where there can be none: see docs/adr/0011-extensions-telemetry.md."""

    async def ready(self) -> InitError | None:
        """Wait for the end of the init phase: None once the runtime asks for its first event.

        The caller sets the time limit. Errors: BoxGone.
        """

    async def invoke(self, invocation: Invocation) -> Answer:
        """Hand over one event and wait for its answer. One at a time, after `ready`.

        The caller sets the time limit and kills the box when it passes. Errors: BoxGone.
        """

    async def idle(self) -> None:
        """Wait until the runtime has asked for its next event, and every extension that gets
        invocations for its own. Errors: BoxGone.
        """

    def freeze(self) -> None:
        """Nothing of it runs until the next `invoke`. After `idle`; a level may be unable to."""

    def keep_tmp(self) -> Tmp | None:
        """Take its /tmp out of what `close` removes. Before `close`; None where there is none."""

    def memory_used_mib(self) -> int:
        """Peak memory of the environment so far, MiB rounded up."""

    async def close(self, *, grace_s: float = 0.0, reason: str = "spindown") -> Exited:
        """End all its processes (SIGTERM first if there is grace), remove what it left.

        Extensions get SHUTDOWN with `reason` (spindown, timeout, failure) and AWS's time to
        react to it. Idempotent.
        """


@dataclass(frozen=True, slots=True)
class Doorway:
    """The platform's address, and who answers a socket that listens on it inside an environment."""

    host: str
    port: int
    serve: Callable[[socket.socket], Awaitable[asyncio.AbstractServer]]


class Sandbox(Protocol):
    """One isolation level on this machine."""

    name: str
    doorway: Doorway | None
    """Set before the first launch; without it, environments with a network of their own reach no
    platform."""

    @property
    def code_root(self) -> Path:
        """Where to unpack code so that environments can reach it: one folder per package below."""

    def resolve(self, runtime: str) -> "Resolution":
        """How a runtime id is run here. Errors: LookupError with the reason."""

    async def launch(self, spec: Spec) -> Box:
        """Start an environment; returns when its process exists. Errors: LaunchError."""

    async def close(self) -> None:
        """Close every box and helper process."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A language runtime found on this machine."""

    language: str  # python | nodejs
    version: tuple[int, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class Resolution:
    """How a runtime id will be run here. `note` is what must be told once (nearest version)."""

    runtime: str
    interpreter: Interpreter | None
    note: str = ""


@dataclass(slots=True)
class Probe:
    """What this machine can do at one level, for `lambent doctor`."""

    level: str
    works: bool
    reasons: Sequence[str] = field(default_factory=tuple)
