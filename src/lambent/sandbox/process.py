"""The `process` level: an environment is a process of its own user, with limits, and no more.

Works everywhere, also unprivileged in a container. What it gives as root: an own uid per
environment, no capabilities, no_new_privs, resource limits, a private folder for TMPDIR, code that
only it can read, its environment and no other, death with the server. What it cannot give, because
it mounts nothing: AWS's paths. /var/task, /opt, /var/runtime and /tmp in the variables that AWS
sets are translated to the real folders; the machine's own /tmp stays visible (TMPDIR points
elsewhere), and so do the host's other world-readable files and its network. As an ordinary user
all environments share the server's uid, and only limits, groups of processes and variables remain.

AWS_LAMBDA_RUNTIME_API is set where somebody may need it, each with its own listener: for
provided.*, and with layers, which is how extensions come. Our own bootstraps use the framed channel; without
layers they have no listener and so do not get the variable.
"""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lambent.sandbox.box import Interpreter, Probe, Spec
from lambent.sandbox.conversation import FramedConversation, HttpConversation
from lambent.sandbox.extensions.conversation import extended
from lambent.sandbox.extensions.processes import ExtensionProcess, extension_variables, start_all
from lambent.sandbox.folders import hand_over
from lambent.sandbox.forking import (
    ForkingSandbox,
    entrypoint,
    node_command,
    resource_limits,
    start_frame,
)
from lambent.sandbox.memory import MIB
from lambent.sandbox.nurseries import Child, Nursery
from lambent.sandbox.process_box import KeptFolder, ProcessBox
from lambent.sandbox.runtimes import can_mount, reachable

_DATA_SLACK_BYTES = 1 << 30  # stacks and reserves that are never touched; the watch is the ceiling
_PATH_VARIABLES = (
    "LAMBDA_TASK_ROOT",
    "LAMBDA_RUNTIME_DIR",
    "PWD",
    "PATH",
    "LD_LIBRARY_PATH",
    "NODE_PATH",
    "PYTHONPATH",
    "GEM_PATH",
)


class ProcessSandbox(ForkingSandbox[ProcessBox]):
    """The `process` level of this machine."""

    name = "process"

    def probe(self) -> Probe:
        """What this level gives on this machine, for `lambent doctor`."""
        if self.identities is None:
            return Probe("process", True, ("not root: environments run as the server's own user",))
        if not can_mount():
            return Probe(
                "process",
                True,
                ("no CAP_SYS_ADMIN: interpreters below closed folders are left out",),
            )
        return Probe("process", True)

    async def _launch(self, spec: Spec, interpreter: Interpreter | None) -> ProcessBox:
        groups = self._admit(spec)
        uid = self.identities.take() if self.identities else None
        box = ProcessBox(self, self.next_number(), spec, uid)
        try:
            await self._start(box, spec, interpreter, groups)
        except BaseException:
            await box.close()
            raise
        return box

    def _admit(self, spec: Spec) -> list[int]:
        """Check the folders that the code needs; the groups that make them readable."""
        groups = []
        for folder in (spec.task_root, spec.layers_root):
            if folder is not None:
                self.folders.check(folder)
                if self.identities:
                    groups.append(self.identities.admit(folder))
        return groups

    async def _start(
        self, box: ProcessBox, spec: Spec, interpreter: Interpreter | None, groups: list[int]
    ) -> None:
        nursery = self.nursery(interpreter)
        if isinstance(spec.tmp, KeptFolder) and spec.tmp.folder is not None:
            box.tmp, spec.tmp.folder = spec.tmp.folder, None
            await asyncio.to_thread(hand_over, box.tmp, box.uid)
        else:
            box.tmp = self.folders.make_private(str(box.number), box.uid)
        environment = self._translate(spec, box.tmp, interpreter)
        argv = self._command(spec, interpreter)
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            if box.uid is not None:
                os.fchown(writing, box.uid, box.uid)  # so that /dev/stdout can be opened
            box.extended = extended(spec)
            box.listen_to(reading, records=interpreter is not None)
            await self._converse(box, spec, environment, argv, ours)
            data_bytes = 2 * spec.memory_mib * MIB + _DATA_SLACK_BYTES
            limits = resource_limits(spec, alone=box.uid is not None, data_bytes=data_bytes)
            message = {"uid": box.uid, "groups": groups, "limits": limits, "parent": nursery.pid}
            launched: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            box.nursery = nursery
            self._boxes.add(box)
            pid = nursery.launch(
                box.number, message, [writing, theirs.fileno()], Child(launched, box.has_exited)
            )
        finally:
            theirs.close()
            os.close(writing)
        box.pid = await pid
        self.watch.add(box)
        if box.extended is not None:
            await self._start_extensions(box, spec, environment, message)

    async def _converse(
        self,
        box: ProcessBox,
        spec: Spec,
        environment: dict[str, str],
        argv: list[str],
        ours: socket.socket,
    ) -> None:
        """How the runtime is spoken to. With extensions it is told later to begin."""
        with_extensions = box.extended
        inner: FramedConversation | HttpConversation
        environment.pop("AWS_LAMBDA_RUNTIME_API", None)
        if spec.runtime.startswith("provided"):
            others = with_extensions.serve if with_extensions else None
            inner = http = HttpConversation(box.take_output, others)
            box.conversation = http
            environment["AWS_LAMBDA_RUNTIME_API"] = await http.listen()
            start = start_frame(spec, environment, argv)
            http.attach(ours, b"" if with_extensions else start)
        else:
            environment.setdefault("LAMBDA_TASK_ROOT", str(spec.task_root))
            environment.setdefault("_HANDLER", spec.handler)
            if with_extensions:
                environment["AWS_LAMBDA_RUNTIME_API"] = await with_extensions.listen()
            start = start_frame(spec, environment, argv)
            held = b"" if with_extensions else start
            inner = FramedConversation(ours, held, box.take_output, box.hung_up)
        box.conversation = inner
        if with_extensions:
            with_extensions.attach(inner, lambda: inner.begin(start))
            box.conversation = with_extensions

    async def _start_extensions(
        self, box: ProcessBox, spec: Spec, environment: dict[str, str], message: dict[str, Any]
    ) -> None:
        """Start external extensions beside the runtime, which waits for them."""
        extensions = box.extended
        assert extensions is not None
        nursery = self.nursery(None)
        variables = extension_variables(environment)

        def make(name: str) -> ExtensionProcess:
            return ExtensionProcess(name, nursery, self.next_number())

        async def start(
            file: Path, process: ExtensionProcess, failed: Callable[[str], None]
        ) -> None:
            told = {"cwd": "/", "environment": variables, "argv": [str(file)], "channel": False}
            order = message | {"parent": nursery.pid}
            await process.start(order, told, extensions.extension_line, failed)

        await start_all(spec, extensions.api, extensions.processes, make, start)

    def _command(self, spec: Spec, interpreter: Interpreter | None) -> list[str]:
        """What is executed; empty for Python, which is forked."""
        if interpreter is None:
            return [str(entrypoint(spec)[0])]
        if interpreter.language == "python":
            return []
        bootstrap = str(self.folders.runtime / "node.mjs")
        return node_command(interpreter, spec.memory_mib, bootstrap)

    def _translate(self, spec: Spec, tmp: Path, interpreter: Interpreter | None) -> dict[str, str]:
        """The environment with AWS's folders replaced by the real ones."""
        opt = spec.layers_root or self.folders.runtime / "opt"  # without layers: not there
        real = {
            "/var/task": str(spec.task_root),
            "/opt": str(opt),
            "/var/runtime": str(self.folders.runtime),
        }
        if interpreter is not None:
            real["/var/lang"] = str(interpreter.path.parents[1])
        result = dict(spec.environment)
        for name in _PATH_VARIABLES:
            if name in result:
                result[name] = ":".join(_real(p, real) for p in result[name].split(":"))
        result.setdefault("TMPDIR", str(tmp))
        return result

    def _start_nursery(self, kind: str, python: Path, shown: list[Path]) -> Nursery:
        killers = self.identities.killers if self.identities else None
        closed = [] if self.identities is None else [p for p in shown if not reachable(p / "bin")]
        return Nursery(python, kind, closed, killers, self.filter)


def _real(path: str, real: Mapping[str, str]) -> str:
    for aws, here in real.items():
        if path == aws or path.startswith(aws + "/"):
            return here + path[len(aws) :]
    return path
