"""The `namespace` level: what it takes to launch an environment in a cell of its own.

What it gives: user, mount, pid, ipc, uts and net name spaces; a root that shows a read-only
runtime and AWS's folders, nothing else of the host; /tmp of the function's size; a network in
which there is only the platform; cgroups where the server may make them; no capabilities,
no_new_privs, seccomp.
As an ordinary user it works wherever such a user may make name spaces.

There is no outbound network at this level yet: the environment reaches the Runtime API at
169.254.100.1:9001 and the platform at the address that it has outside, through sockets that listen
inside its network and are accepted by this server. See docs/adr/0008-namespace-level.md.
"""

import asyncio
import os
from pathlib import Path

from lambent.sandbox.box import Interpreter, LaunchError, Probe, Spec
from lambent.sandbox.conversation import FramedConversation, HttpConversation
from lambent.sandbox.extensions.conversation import extended
from lambent.sandbox.extensions.processes import external_files
from lambent.sandbox.folders import Folders
from lambent.sandbox.forking import (
    ForkingSandbox,
    entrypoint,
    node_command,
    resource_limits,
    start_frame,
)
from lambent.sandbox.memory import MIB
from lambent.sandbox.namespace import blanks
from lambent.sandbox.namespace.blanks import Blank, Blanks
from lambent.sandbox.namespace.box import KeptTmp, NamespaceBox, listener_for
from lambent.sandbox.namespace.cgroups import Cgroups, sweep
from lambent.sandbox.namespace.probing import why_not
from lambent.sandbox.namespace.root import ADDRESS, MASKED, RUNTIME_API_PORT, TMP_MIB, entries
from lambent.sandbox.nurseries import Nursery

_GROUPS = "groups"
"""File in the sandbox's folder: its control groups, should they have to be swept."""
_LOOPBACK = ("127.0.0.1", "localhost", "0.0.0.0", "::1", "")  # noqa: S104 - compared, not bound


class NamespaceSandbox(ForkingSandbox[NamespaceBox]):
    """The `namespace` level of this machine."""

    name = "namespace"

    def __init__(
        self,
        *,
        home: Path,
        search_path: str,
        folder: Path | None = None,
        strict_runtimes: bool = False,
    ) -> None:
        super().__init__(
            home=home, search_path=search_path, folder=folder, strict_runtimes=strict_runtimes
        )
        self._cgroups: Cgroups | None = None
        self.waiting: dict[Nursery, Blanks] = {}

    def probe(self) -> Probe:
        """What this level gives on this machine, for `lambent doctor`."""
        if reason := why_not():
            return Probe("namespace", False, (reason,))
        reasons = list(self.cgroups.missing)
        reasons.append("functions reach the platform, and no other network yet")
        return Probe("namespace", True, tuple(reasons))

    @property
    def cgroups(self) -> Cgroups:
        """Made at first use, below the server's own."""
        if self._cgroups is None:
            self._cgroups = Cgroups(self.folders.root.name)
            self._cgroups.note(self.folders.root / _GROUPS)
        return self._cgroups

    async def _launch(self, spec: Spec, interpreter: Interpreter | None) -> NamespaceBox:
        if spec.layers_root and os.path.isdir(spec.layers_root / "extensions"):
            raise LaunchError("external extensions do not run at the namespace level yet")
        if external_files(spec):
            raise LaunchError("external extensions run at the process level only, for now")
        code = self._inside(spec.task_root)
        layers = self._inside(spec.layers_root) if spec.layers_root else None
        argv = self._command(spec, interpreter)
        nursery = self.nursery(interpreter)
        waiting = self._blanks_of(nursery)
        kept = spec.tmp if isinstance(spec.tmp, KeptTmp) and spec.tmp.mounts >= 0 else None
        blank = None if kept else waiting.take()
        if blank is None:
            blank = await self._make(nursery, kept)
        box = NamespaceBox(self, blank, spec, self.cgroups)
        self._boxes.add(box)
        try:
            await self._occupy(box, blank, spec, interpreter, argv, None if kept else code, layers)
        except BaseException:
            await box.close()
            raise
        if kept:
            kept.discard()
        box.when_ready = waiting.fill
        return box

    def _inside(self, folder: Path) -> str:
        """Where a code folder is below the folder of all code. Errors: LaunchError."""
        if not folder.is_dir():
            raise LaunchError(f"{folder} is not a folder")
        try:
            return str(folder.relative_to(self.folders.code))
        except ValueError:
            raise LaunchError(
                f"environments do not see {folder}: unpack code below {self.folders.code}"
            ) from None

    def _command(self, spec: Spec, interpreter: Interpreter | None) -> list[str]:
        if interpreter is None:
            return [entrypoint(spec)[1]]
        if interpreter.language == "python":
            return []
        return node_command(interpreter, spec.memory_mib, "/var/runtime/node.mjs")

    async def _occupy(
        self,
        box: NamespaceBox,
        blank: Blank,
        spec: Spec,
        interpreter: Interpreter | None,
        argv: list[str],
        code: str | None,
        layers: str | None,
    ) -> None:
        """Turn a blank into the environment that `spec` describes: one message."""
        environment = dict(spec.environment)
        environment.setdefault("LAMBDA_TASK_ROOT", "/var/task")
        environment.setdefault("_HANDLER", spec.handler)
        bounded = self.cgroups.memory_file is not None
        box.bounded = bounded
        limits = resource_limits(
            spec, alone=blank.uid is not None,
            data_bytes=None if bounded else 2 * spec.memory_mib * MIB + (1 << 30),
        )  # fmt: skip
        more = {
            "cwd": "/var/task",
            "layers": "/opt" if spec.layers_root else None,
            "code": code,
            "opt": layers,
            "tmp_mib": spec.tmp_mib,
            "memory_bytes": (spec.memory_mib + spec.tmp_mib) * MIB,
            "limits": limits,
        }
        blank.child.on_exit = box.has_exited
        box.extended = extensions = extended(spec, None)
        box.listen_to(blank.output, records=interpreter is not None)
        environment.pop("AWS_LAMBDA_RUNTIME_API", None)
        if extensions is not None:
            environment["AWS_LAMBDA_RUNTIME_API"] = f"{ADDRESS}:{RUNTIME_API_PORT}"
        start = start_frame(spec, environment, argv, **more)
        held = start if extensions is None else b""
        inner: FramedConversation | HttpConversation
        if interpreter is None:
            others = extensions.serve if extensions is not None else None
            inner = http = HttpConversation(box.take_output, others)
            box.conversation = http
            await http.listen(listener_for(box, RUNTIME_API_PORT))
            http.attach(blank.channel, held)
        else:
            if extensions is not None:
                await extensions.listen(listener_for(box, RUNTIME_API_PORT))
            inner = FramedConversation(blank.channel, held, box.take_output, box.hung_up)
        box.conversation = inner
        if extensions is not None:
            extensions.attach(inner, lambda: inner.begin(start))
            box.conversation = extensions

    # ---- blanks ----

    def _blanks_of(self, nursery: Nursery) -> Blanks:
        found = self.waiting.get(nursery)
        if found is None:
            for old in [old for old in self.waiting if not old.alive]:
                self.waiting.pop(old).close()

            async def make_one() -> Blank:
                return await self._make(nursery, None)

            found = self.waiting[nursery] = Blanks(make_one, self._discard, self.tasks)
        return found

    async def _make(self, nursery: Nursery, kept: KeptTmp | None) -> Blank:
        """One more blank, with the platform behind its sockets. Errors: LaunchError."""
        uid = kept.take_uid() if kept else self.identities.take() if self.identities else None
        number = self.next_number()
        listen = [(ADDRESS, RUNTIME_API_PORT)]
        if self.doorway is not None:
            listen.append((_bindable(self.doorway.host), self.doorway.port))
        try:
            blank = await blanks.make(nursery, number, uid, listen, kept.mounts if kept else -1)
        except BaseException:
            self.release(uid)
            raise
        if self.doorway is not None:
            blank.servers.append(await self.doorway.serve(blank.listeners.pop()))
        return blank

    async def _discard(self, blank: Blank) -> None:
        await blanks.discard(blank)
        self.release(blank.uid)

    def _start_nursery(self, kind: str, python: Path, shown: list[Path]) -> Nursery:
        if reason := why_not():
            raise LaunchError(f"the namespace level does not work here: {reason}")
        hosts = [_bindable(self.doorway.host)] if self.doorway else []
        cgroups = self.cgroups
        plan = {
            "root": str(self.folders.make_mountpoint()),
            "rootless": self.identities is None,
            "entries": entries(
                code=self.folders.code, runtime=self.folders.runtime, prefixes=shown
            ),
            "masked": MASKED,
            "hostname": ADDRESS,
            "tmp_mib": TMP_MIB,
            "share_network": False,
            "addresses": [ADDRESS, *(host for host in hosts if host != "127.0.0.1")],
            "cgroups": {name: str(path) for name, path in cgroups.parents.items()},
            "settings": cgroups.settings(),
        }
        if cgroups.memory_file is not None:
            plan["memory_file"] = cgroups.memory_file
        return Nursery(python, kind, [], None, self.filter, plan)

    def _sweep(self, folders: Folders) -> None:
        for folder in folders.abandoned():
            sweep(folder / _GROUPS, folder.name)
        super()._sweep(folders)

    async def close(self) -> None:
        """Close every box, blank and nursery, and remove folder and groups. Idempotent."""
        self._closed = True
        for waiting in self.waiting.values():
            waiting.close()
        self.waiting.clear()
        await super().close()
        if self._cgroups is not None:
            groups, self._cgroups = self._cgroups, None
            await asyncio.to_thread(groups.close)


def _bindable(host: str) -> str:
    """Where to listen inside for who is told to connect to `host`."""
    return "127.0.0.1" if host in _LOOPBACK else host
