"""The `process` level: an environment is a process of its own user, with limits, and no more.

Works everywhere, also unprivileged in a container. What it gives as root: an own uid per
environment, no capabilities, no_new_privs, resource limits, a private folder for TMPDIR, code that
only it can read, its environment and no other, death with the server. What it cannot give, because
it mounts nothing: AWS's paths. /var/task, /opt, /var/runtime and /tmp in the variables that AWS
sets are translated to the real folders; the machine's own /tmp stays visible (TMPDIR points
elsewhere), and so do the host's other world-readable files and its network. As an ordinary user
all environments share the server's uid, and only limits, groups of processes and variables remain.

AWS_LAMBDA_RUNTIME_API is set for runtimes that need it (provided.*), each with its own listener;
our own bootstraps use the framed channel, have no listener and so do not get the variable.
"""

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lambent.base.tasks import Tasks
from lambent.sandbox.box import (
    Interpreter,
    InvalidEntrypointError,
    LaunchError,
    Probe,
    Resolution,
    Spec,
)
from lambent.sandbox.channel import START, encode
from lambent.sandbox.conversation import (
    ENTRYPOINTS_SHOWN,
    Conversation,
    FramedConversation,
    HttpConversation,
)
from lambent.sandbox.folders import Folders, Identities
from lambent.sandbox.memory import MIB, MemoryWatch
from lambent.sandbox.nurseries import Child, Nursery, server_python
from lambent.sandbox.process_box import ProcessBox
from lambent.sandbox.runtimes import Runtimes, UnknownRuntimeError, can_mount, reachable

_DATA_SLACK_BYTES = 1 << 30  # stacks and reserves that are never touched; the watch is the ceiling
_NEW_SPACE_PERCENT, _OLD_SPACE_PERCENT = 5, 90  # of memory, as AWS starts Node.js
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


class ProcessSandbox:
    """The `process` level of this machine.

    `folder`: where to make the sandbox's folder (default /var/tmp). `home` and `search_path`: where
    interpreters are looked for. Nothing is started before the first launch.
    """

    name = "process"

    def __init__(
        self,
        *,
        home: Path,
        search_path: str,
        folder: Path | None = None,
        strict_runtimes: bool = False,
    ) -> None:
        root = os.getuid() == 0
        self.runtimes = Runtimes(home=home, search_path=search_path, as_other_user=root)
        self.tasks = Tasks("sandbox")
        self.identities = Identities() if root else None
        self.watch = MemoryWatch()
        self._parent, self._strict = folder, strict_runtimes
        self._folders: Folders | None = None
        self._nurseries: dict[tuple[str, Path], Nursery] = {}
        self._boxes: set[ProcessBox] = set()
        self._count = 0
        self._closed = False

    @property
    def folders(self) -> Folders:
        """Made at first use; LaunchError when that cannot be done."""
        if self._folders is None:
            self._folders = Folders(self._parent, as_other_user=self.identities is not None)
            self.tasks.start("sweep", asyncio.to_thread(self._folders.sweep))
        return self._folders

    @property
    def code_root(self) -> Path:
        """Where to unpack code so that environments can reach it: one folder per package below."""
        return self.folders.code

    def resolve(self, runtime: str) -> Resolution:
        """How a runtime id is run here. Errors: UnknownRuntimeError."""
        return self.runtimes.resolve(runtime, strict=self._strict)

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

    def prepare(self, runtime: str) -> None:
        """Start the nursery for a runtime, so that its first launch need not (about 60 ms).

        Errors: UnknownRuntimeError, LaunchError.
        """
        self._nursery(self.resolve(runtime).interpreter)

    async def launch(self, spec: Spec) -> ProcessBox:
        """Start an environment; returns when its process exists.

        Errors: LaunchError; InvalidEntrypointError when a provided runtime has no bootstrap.
        """
        if self._closed:
            raise LaunchError("the sandbox is closed")
        try:
            resolution = self.resolve(spec.runtime)
        except UnknownRuntimeError as error:
            raise LaunchError(str(error)) from error
        groups = self._admit(spec)
        self._count += 1
        uid = self.identities.take() if self.identities else None
        box = ProcessBox(self, self._count, spec, uid)
        try:
            await self._start(box, spec, resolution.interpreter, groups)
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
        nursery = self._nursery(interpreter)
        box.tmp = self.folders.make_private(str(box.number), box.uid)
        environment = self._translate(spec, box.tmp, interpreter)
        argv = self._command(spec, interpreter)
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            if box.uid is not None:
                os.fchown(writing, box.uid, box.uid)  # so that /dev/stdout can be opened
            box.listen_to(reading, records=interpreter is not None)
            conversation: Conversation
            if interpreter is None:
                conversation = box.conversation = http = HttpConversation(box.take_output)
                environment["AWS_LAMBDA_RUNTIME_API"] = await http.listen()
                http.attach(ours, _start_frame(spec, environment, argv))
            else:
                environment.pop("AWS_LAMBDA_RUNTIME_API", None)
                environment.setdefault("LAMBDA_TASK_ROOT", str(spec.task_root))
                environment.setdefault("_HANDLER", spec.handler)
                start = _start_frame(spec, environment, argv)
                conversation = FramedConversation(ours, start, box.take_output, box.hung_up)
                box.conversation = conversation
            limits = _limits(spec, alone=box.uid is not None)
            message = {"uid": box.uid, "groups": groups, "limits": limits}
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

    def _command(self, spec: Spec, interpreter: Interpreter | None) -> list[str]:
        """What is executed; empty for Python, which is forked."""
        if interpreter is None:
            return [str(_entrypoint(spec))]
        if interpreter.language == "python":
            return []
        return [
            str(interpreter.path),
            f"--max-semi-space-size={max(1, spec.memory_mib * _NEW_SPACE_PERCENT // 100)}",
            f"--max-old-space-size={spec.memory_mib * _OLD_SPACE_PERCENT // 100}",
            str(self.folders.runtime / "node.mjs"),
        ]

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

    def _nursery(self, interpreter: Interpreter | None) -> Nursery:
        """The running nursery for an interpreter, started at its first use."""
        forked = interpreter is not None and interpreter.language == "python"
        path = interpreter.path if forked and interpreter else server_python()
        key = ("python" if forked else "exec", path)
        nursery = self._nurseries.get(key)
        if nursery is None or not nursery.alive:
            killer = self.identities.killer if self.identities else None
            nursery = Nursery(path, key[0], self._exposed(forked, path), killer)
            self._nurseries[key] = nursery
        return nursery

    def _exposed(self, forked: bool, path: Path) -> list[str]:
        """Installations that environments of this nursery must see although they are closed."""
        if self.identities is None:
            return []
        if forked:
            paths = [path]
        else:
            paths = [i.path for i in self.runtimes.interpreters() if i.language == "nodejs"]
        return [str(p.parents[1]) for p in paths if not reachable(p)]

    def forget(self, box: ProcessBox) -> None:
        """A box has been closed."""
        self._boxes.discard(box)
        self.watch.discard(box)
        if self.identities and box.uid is not None:
            self.identities.give_back(box.uid)

    async def close(self) -> None:
        """Close every box and nursery, and remove the folder. Idempotent."""
        self._closed = True
        boxes = list(self._boxes)
        if boxes:
            await asyncio.gather(*(box.close() for box in boxes))
        await self.tasks.join()
        self.watch.close()
        for nursery in self._nurseries.values():
            await nursery.close()
        self._nurseries.clear()
        if self._folders is not None:
            folders, self._folders = self._folders, None
            await asyncio.to_thread(folders.close)


def _entrypoint(spec: Spec) -> Path:
    """The bootstrap of a provided runtime: in the code, else in the layers."""
    for folder in (spec.task_root, spec.layers_root):
        if folder is not None and os.access(folder / "bootstrap", os.X_OK):
            return folder / "bootstrap"
    raise InvalidEntrypointError(
        f"Couldn't find valid bootstrap(s): [{' '.join(ENTRYPOINTS_SHOWN)}]"
    )


def _real(path: str, real: Mapping[str, str]) -> str:
    for aws, here in real.items():
        if path == aws or path.startswith(aws + "/"):
            return here + path[len(aws) :]
    return path


def _start_frame(spec: Spec, environment: Mapping[str, str], argv: list[str]) -> bytes:
    """What the environment is told after the fork: see nursery.py."""
    start: dict[str, Any] = {
        "cwd": str(spec.task_root),
        "environment": dict(environment),
        "handler": spec.handler,
        "layers": str(spec.layers_root) if spec.layers_root else None,
        "argv": argv,
        "channel": not spec.runtime.startswith("provided"),
    }
    return encode(START, payload=json.dumps(start).encode())


def _limits(spec: Spec, *, alone: bool) -> dict[str, int]:
    """Resource limits by their names in the standard library.

    The number of processes is counted per user, so it is limited only where that user is the
    environment `alone`: otherwise the server's own processes would use it up.
    """
    limits = {
        "RLIMIT_NOFILE": 1024,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": spec.tmp_mib * MIB,
        "RLIMIT_DATA": 2 * spec.memory_mib * MIB + _DATA_SLACK_BYTES,
    }
    return limits | {"RLIMIT_NPROC": 1024} if alone else limits
