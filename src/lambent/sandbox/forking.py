"""What levels that fork their environments from nurseries have in common.

`ForkingSandbox` knows the runtimes, the folders, the nurseries and the live boxes; a level above it
(`process`, `namespace`) says what a nursery is started with, what a launch consists of, and how
strong it is. The box (`process_box.py`) is shared in the same way.
"""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

from lambent.base.tasks import Tasks
from lambent.sandbox.box import (
    Doorway,
    Interpreter,
    InvalidEntrypointError,
    LaunchError,
    Resolution,
    Spec,
)
from lambent.sandbox.channel import START, encode
from lambent.sandbox.conversation import ENTRYPOINTS_SHOWN
from lambent.sandbox.folders import Folders, Identities
from lambent.sandbox.memory import MIB, MemoryWatch
from lambent.sandbox.nurseries import Nursery, server_python
from lambent.sandbox.process_box import ProcessBox
from lambent.sandbox.runtimes import Runtimes, UnknownRuntimeError
from lambent.sandbox.seccomp import filter_program

_NEW_SPACE_PERCENT, _OLD_SPACE_PERCENT = 5, 90  # of memory, as AWS starts Node.js
_FILES_MAX = 1_024  # Source: gettingstarted-limits, file descriptors
PROCESSES_MAX = 1_024  # Source: gettingstarted-limits, execution processes/threads

BoxT = TypeVar("BoxT", bound=ProcessBox)


class ForkingSandbox(Generic[BoxT]):
    """A level of this machine. Nothing is started before the first launch.

    `folder`: where to make the sandbox's folder (default /var/tmp). `home` and `search_path`: where
    interpreters are looked for.
    """

    name = ""

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
        self.filter = filter_program()
        self.doorway: Doorway | None = None
        self._parent, self._strict = folder, strict_runtimes
        self._folders: Folders | None = None
        self._nurseries: dict[tuple[str, Path], Nursery] = {}
        self._boxes: set[BoxT] = set()
        self._count = 0
        self._closed = False

    @property
    def folders(self) -> Folders:
        """Made at first use; LaunchError when that cannot be done."""
        if self._folders is None:
            self._folders = Folders(self._parent, as_other_user=self.identities is not None)
            self.tasks.start("sweep", asyncio.to_thread(self._sweep, self._folders))
        return self._folders

    @property
    def code_root(self) -> Path:
        """Where to unpack code so that environments can reach it: one folder per package below."""
        return self.folders.code

    def resolve(self, runtime: str) -> Resolution:
        """How a runtime id is run here. Errors: UnknownRuntimeError."""
        return self.runtimes.resolve(runtime, strict=self._strict)

    def prepare(self, runtime: str) -> None:
        """Start the nursery for a runtime, so that its first launch need not (about 60 ms).

        Errors: UnknownRuntimeError, LaunchError.
        """
        self.nursery(self.resolve(runtime).interpreter)

    async def launch(self, spec: Spec) -> BoxT:
        """Start an environment; returns when its process exists.

        Errors: LaunchError; InvalidEntrypointError when a provided runtime has no bootstrap.
        """
        if self._closed:
            raise LaunchError("the sandbox is closed")
        try:
            resolution = self.resolve(spec.runtime)
        except UnknownRuntimeError as error:
            raise LaunchError(str(error)) from error
        return await self._launch(spec, resolution.interpreter)

    async def _launch(self, spec: Spec, interpreter: Interpreter | None) -> BoxT:
        raise NotImplementedError

    def _start_nursery(self, kind: str, python: Path, shown: list[Path]) -> Nursery:
        """A nursery of this level. `shown`: the installations that its environments need."""
        raise NotImplementedError

    def nursery(self, interpreter: Interpreter | None) -> Nursery:
        """The running nursery for an interpreter, started at its first use."""
        forked = interpreter is not None and interpreter.language == "python"
        path = interpreter.path if forked and interpreter else server_python()
        key = ("python" if forked else "exec", path)
        nursery = self._nurseries.get(key)
        if nursery is None or not nursery.alive:
            found = self.runtimes.interpreters()
            used = [path] if forked else [i.path for i in found if i.language == "nodejs"]
            prefixes = [one.parents[1] for one in used]
            nursery = self._nurseries[key] = self._start_nursery(key[0], path, prefixes)
        return nursery

    def next_number(self) -> int:
        """Names a new box within this sandbox."""
        self._count += 1
        return self._count

    def forget(self, box: BoxT) -> None:
        """A box has been closed."""
        self._boxes.discard(box)
        self.watch.discard(box)
        self.release(box.uid)

    def release(self, uid: int | None) -> None:
        """Nothing runs under `uid` any more."""
        if self.identities and uid is not None:
            self.identities.give_back(uid)

    def _sweep(self, folders: Folders) -> None:
        """Remove what killed servers left; on a worker thread."""
        folders.sweep()

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


def entrypoint(spec: Spec) -> tuple[Path, str]:
    """The bootstrap of a provided runtime, in the code or the layers: here and in AWS's place.

    Errors: InvalidEntrypointError.
    """
    for folder, shown in zip((spec.task_root, spec.layers_root), ENTRYPOINTS_SHOWN, strict=True):
        if folder is not None and os.access(folder / "bootstrap", os.X_OK):
            return folder / "bootstrap", shown
    raise InvalidEntrypointError(
        f"Couldn't find valid bootstrap(s): [{' '.join(ENTRYPOINTS_SHOWN)}]"
    )


def node_command(interpreter: Interpreter, memory_mib: int, bootstrap: str) -> list[str]:
    """How Node.js is started for a function of that size."""
    return [
        str(interpreter.path),
        f"--max-semi-space-size={max(1, memory_mib * _NEW_SPACE_PERCENT // 100)}",
        f"--max-old-space-size={memory_mib * _OLD_SPACE_PERCENT // 100}",
        bootstrap,
    ]


def start_frame(
    spec: Spec, environment: Mapping[str, str], argv: list[str], **more: object
) -> bytes:
    """What the environment is told after the fork: see nursery.py. `more`: the level's own."""
    start: dict[str, Any] = {
        "cwd": str(spec.task_root),
        "environment": dict(environment),
        "handler": spec.handler,
        "layers": str(spec.layers_root) if spec.layers_root else None,
        "argv": argv,
        "channel": not spec.runtime.startswith("provided"),
        **more,
    }
    return encode(START, payload=json.dumps(start).encode())


def resource_limits(spec: Spec, *, alone: bool, data_bytes: int | None) -> dict[str, int]:
    """Resource limits by their names in the standard library.

    The number of processes is counted per user, so it is limited only where that user is the
    environment `alone`: otherwise the server's own processes would use it up. `data_bytes`: a
    backstop for memory where nothing better is.
    """
    limits = {
        "RLIMIT_NOFILE": _FILES_MAX,
        "RLIMIT_CORE": 0,
        "RLIMIT_FSIZE": spec.tmp_mib * MIB,
    }
    if alone:
        limits["RLIMIT_NPROC"] = PROCESSES_MAX
    if data_bytes is not None:
        limits["RLIMIT_DATA"] = data_bytes
    return limits
