"""The `microvm` level: a virtual machine per environment, restored from a blank guest's snapshot.

What it gives: a kernel of its own per environment, AWS's paths (/var/task and /opt read-only, /tmp
of exactly the size asked for), memory and process limits by the guest's cgroups, no network but the
loopback port of the platform's endpoint, no file of the host: code is copied onto a disk.
"""

import asyncio
import os
import tempfile
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
from lambent.sandbox.conversation import ENTRYPOINTS_SHOWN
from lambent.sandbox.folders import Folders, Identities
from lambent.sandbox.microvm.box import MicrovmBox
from lambent.sandbox.microvm.disks import CODE_DISK_BYTES, DiskError, format_folder, scratch_disk
from lambent.sandbox.microvm.image import Image, ImageError, load
from lambent.sandbox.microvm.machine import Machine, missing_programs
from lambent.sandbox.microvm.probing import IMAGE_FOLDER, kvm_fault, lacking
from lambent.sandbox.microvm.snapshots import Snapshots
from lambent.sandbox.runtimes import UnknownRuntimeError

_LOOPBACK = ("127.0.0.1", "localhost", "0.0.0.0", "::1", "::", "")  # noqa: S104 - compared only
_NEW_SPACE_PERCENT, _OLD_SPACE_PERCENT = 5, 90  # of memory, as AWS starts Node.js


class MicrovmSandbox:
    """The `microvm` level of this machine.

    `home`: its image is looked for in `IMAGE_FOLDER` below; `image` names another place.
    `accelerator`: `kvm`, `tcg`, or `auto` for kvm where a guest answers in time. Nothing is started
    before the first launch or `probe`.
    """

    name = "microvm"

    def __init__(
        self,
        *,
        home: Path,
        search_path: str,
        image: Path | None = None,
        folder: Path | None = None,
        strict_runtimes: bool = False,
        accelerator: str = "auto",
    ) -> None:
        self.doorway: Any = None  # box.Doorway: the platform's address
        self.tasks = Tasks("microvm")
        self.identities = Identities() if os.getuid() == 0 else None
        self._image_folder = image or home / IMAGE_FOLDER
        self._search_path, self._parent = search_path, folder
        self._strict, self._accelerator = strict_runtimes, accelerator
        self._image: Image | None = None
        self._snapshots: asyncio.Task[Snapshots] | None = None
        self._folders: Folders | None = None
        self._disks: dict[Path, asyncio.Task[Path]] = {}
        self._boxes: set[MicrovmBox] = set()
        self._closed = False

    # ---- what is here ----

    @property
    def folders(self) -> Folders:
        """Made at first use; LaunchError when that cannot be done."""
        if self._folders is None:
            self._folders = Folders(self._parent, as_other_user=False)
            self.tasks.start("sweep", asyncio.to_thread(self._folders.sweep))
        return self._folders

    @property
    def code_root(self) -> Path:
        """Where to unpack code: one folder per package below. Environments get copies."""
        return self.folders.code

    def image(self) -> Image:
        """The prepared image. Errors: ImageError."""
        if self._image is None:
            self._image = load(self._image_folder)
        return self._image

    def resolve(self, runtime: str) -> Resolution:
        """How a runtime id is run: by what the image has. Errors: UnknownRuntimeError."""
        if runtime.startswith("provided"):
            return Resolution(runtime, None)
        try:
            image = self.image()
        except ImageError as error:
            raise UnknownRuntimeError(str(error)) from error
        if runtime.startswith("python"):
            found = Interpreter("python", image.python, Path("/usr/bin/python3"))
        elif runtime.startswith("nodejs") and image.node:
            found = Interpreter("nodejs", image.node, Path("/usr/bin/node"))
        else:
            raise UnknownRuntimeError(f"the microVM image has nothing that runs {runtime}")
        here = f"{found.language}{'.'.join(map(str, found.version))}"
        if (here + ".").startswith(runtime.removesuffix(".x") + "."):
            return Resolution(runtime, found)
        if self._strict:
            raise UnknownRuntimeError(f"the microVM image has {here}, not {runtime}")
        note = f"{runtime} is not in the microVM image; running it with {here}"
        return Resolution(runtime, found, note)

    async def probe(self) -> Probe:
        """Whether this level works here with KVM; boots a guest. For `lambent doctor`.

        Under emulation it runs, too, but `auto` must not choose it: then `works` is false and the
        reasons say so.
        """
        if reasons := lacking(self._image_folder, self._search_path):
            return Probe(self.name, False, reasons)
        reason = await kvm_fault(self.image())
        if not reason:
            return Probe(self.name, True)
        return Probe(self.name, False, (reason, "QEMU's software emulation: slow, for tests only"))

    # ---- launching ----

    async def snapshots(self) -> Snapshots:
        """The snapshots, after KVM was tried once. Errors: LaunchError."""
        if self._snapshots is None:
            self._snapshots = self.tasks.start("snapshots", self._open_snapshots())
        try:
            return await asyncio.shield(self._snapshots)
        except LaunchError:
            self._snapshots = None
            raise

    async def _open_snapshots(self) -> Snapshots:
        if missing := missing_programs(self._search_path):
            raise LaunchError("; ".join(missing))
        try:
            accelerator = self._accelerator
            if accelerator == "auto":
                accelerator = "tcg" if await kvm_fault(self.image()) else "kvm"
            return Snapshots(self.image(), accelerator)
        except (ImageError, OSError) as error:
            raise LaunchError(str(error)) from error

    async def prepare(self, memory_mib: int) -> None:
        """Boot the blank guest for a memory size, so that its first launch need not."""
        uid = self.identities.take() if self.identities else None
        try:
            await (await self.snapshots()).get(memory_mib, uid)
        finally:
            if self.identities and uid is not None:
                self.identities.give_back(uid)

    async def launch(self, spec: Spec) -> MicrovmBox:
        """Start an environment; returns when its process exists.

        Errors: LaunchError; InvalidEntrypointError when a provided runtime has no bootstrap.
        """
        if self._closed:
            raise LaunchError("the sandbox is closed")
        try:
            resolution = self.resolve(spec.runtime)
        except UnknownRuntimeError as error:
            raise LaunchError(str(error)) from error
        argv = _command(spec, resolution.interpreter)
        box = MicrovmBox(self, spec, self.identities.take() if self.identities else None)
        self._boxes.add(box)
        try:
            await box.start(await self._restore(spec, box.uid), argv, self._endpoint())
        except DiskError as error:
            await box.close()
            raise LaunchError(str(error)) from error
        except BaseException:
            await box.close()
            raise
        return box

    def _endpoint(self) -> tuple[str, int] | None:
        """The platform's address, the only one let through; never what a variable says."""
        if self.doorway is None:
            return None
        host: str = self.doorway.host
        return "127.0.0.1" if host in _LOOPBACK else host, self.doorway.port

    async def _restore(self, spec: Spec, uid: int | None) -> Machine:
        await self.prepare(spec.memory_mib)
        snapshots = await self.snapshots()
        snapshot = await snapshots.get(spec.memory_mib, uid)
        code = await self._disk(spec.task_root)
        layers = await self._disk(spec.layers_root) if spec.layers_root else None
        held: list[int] = []
        try:
            held.append(os.open(code, os.O_RDONLY | os.O_CLOEXEC))
            if layers is not None:
                held.append(os.open(layers, os.O_RDONLY | os.O_CLOEXEC))
            scratch = await asyncio.to_thread(scratch_disk, self.folders.env, spec.tmp_mib)
            held.append(scratch)
            return await snapshots.restore(
                snapshot, held[0], held[1] if layers is not None else None, scratch, uid
            )
        finally:
            for fd in held:
                os.close(fd)

    async def _disk(self, folder: Path) -> Path:
        """The disk made of a code folder, once; others whose folder is gone are removed."""
        making = self._disks.get(folder)
        if making is None:
            if not folder.is_dir():
                raise LaunchError(f"{folder} is not a folder")
            for old in [old for old in self._disks if not old.exists()]:
                if (done := self._disks[old]).done():
                    del self._disks[old]
                    if not done.exception():
                        done.result().unlink(missing_ok=True)
            work = asyncio.to_thread(_make_disk, folder, self.folders.root)
            making = self._disks[folder] = self.tasks.start(f"disk {folder.name}", work)
        try:
            return await asyncio.shield(making)
        except DiskError:
            self._disks.pop(folder, None)
            raise

    def forget(self, box: MicrovmBox) -> None:
        """A box has been closed."""
        self._boxes.discard(box)
        if self.identities and box.uid is not None:
            self.identities.give_back(box.uid)

    async def close(self) -> None:
        """Close every box and snapshot, and remove the folder. Idempotent."""
        self._closed = True
        if boxes := list(self._boxes):
            await asyncio.gather(*(box.close() for box in boxes))
        opening, self._snapshots = self._snapshots, None
        if opening is not None:
            for opened in await asyncio.gather(opening, return_exceptions=True):
                if isinstance(opened, Snapshots):
                    await opened.close()
        await self.tasks.join()
        if self._folders is not None:
            folders, self._folders = self._folders, None
            await asyncio.to_thread(folders.close)


def _make_disk(folder: Path, into: Path) -> Path:
    with tempfile.NamedTemporaryFile(prefix="disk-", dir=into, delete=False) as file:
        image = Path(file.name)
    format_folder(folder, image, disk_bytes=CODE_DISK_BYTES)
    return image


def _command(spec: Spec, interpreter: Interpreter | None) -> list[str]:
    """What is executed inside; empty for Python, which is forked."""
    if interpreter is None:
        roots = (("/var/task", spec.task_root), ("/opt", spec.layers_root))
        for inside, folder in roots:
            if folder is not None and os.access(folder / "bootstrap", os.X_OK):
                return [f"{inside}/bootstrap"]
        raise InvalidEntrypointError(
            f"Couldn't find valid bootstrap(s): [{' '.join(ENTRYPOINTS_SHOWN)}]"
        )
    if interpreter.language == "python":
        return []
    return [
        str(interpreter.path),
        f"--max-semi-space-size={max(1, spec.memory_mib * _NEW_SPACE_PERCENT // 100)}",
        f"--max-old-space-size={spec.memory_mib * _OLD_SPACE_PERCENT // 100}",
        "/var/runtime/node.mjs",
    ]
