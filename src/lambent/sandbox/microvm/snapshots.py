"""Blank guests, booted once per size, and machines restored from them.

The memory of the booted guest is a memfd that is sealed once the guest is gone: every restored
machine maps it privately, so machines share the pages that they do not change, and none can write
what others read. The devices' state (75 kB) is a second one. Memory sizes are rounded up to a few
steps, because the function's limit is a cgroup inside the guest, not the size of the machine.

Prior art: Kata Containers' VM templating (QEMU's x-ignore-shared).
"""

import asyncio
import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lambent.sandbox.box import LaunchError
from lambent.sandbox.microvm import tsc
from lambent.sandbox.microvm.disks import CODE_DISK_BYTES, SCRATCH_DISK_BYTES
from lambent.sandbox.microvm.image import Image
from lambent.sandbox.microvm.kernel import cpio
from lambent.sandbox.microvm.link import Link
from lambent.sandbox.microvm.machine import Machine, Plan

OVERHEAD_MIB = 128
"""What the guest's kernel, process 1 and page tables take beside the function (measured: 91)."""
STEPS_MIB = (128, 256, 512, 1024, 1769, 3538, 5307, 7076, 8845, 10240)
BOOT_S_MAX = 60.0
KVM_ANSWER_S_MAX = 2.0
_MIB_PER_CPU = 1769  # Source: configuration-memory; one vCPU
_POLL_S = 0.002
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_BOOTSTRAPS = Path(__file__).resolve().parents[1] / "bootstrap"
_PROGRAMS = (Path(__file__).with_name("guest.py"), _BOOTSTRAPS / "python.py",
             _BOOTSTRAPS / "node.mjs")  # fmt: skip


def step(memory_mib: int) -> int:
    """The step that a function's memory is rounded up to."""
    return next((size for size in STEPS_MIB if size >= memory_mib), memory_mib)


@dataclass(slots=True)
class Snapshot:
    """A blank guest: descriptors of its memory and its devices' state."""

    memory: int
    state: int
    memory_mib: int
    cpus: int
    booted_s: float
    python: tuple[int, ...]

    def close(self) -> None:
        """Forget it; machines that run keep what they use."""
        os.close(self.memory)
        os.close(self.state)


class Snapshots:
    """The snapshots of one image on one accelerator. `booted` and `restored` count."""

    def __init__(self, image: Image, accelerator: str) -> None:
        self.image, self.accelerator = image, accelerator
        self.booted = self.restored = 0
        self._root = os.open(image.file("rootfs.ext4"), os.O_RDONLY | os.O_CLOEXEC)
        self._made: dict[int, asyncio.Task[Snapshot]] = {}
        self._blank = tuple(_blank(size) for size in (CODE_DISK_BYTES, SCRATCH_DISK_BYTES))

    async def get(self, memory_mib: int, uid: int | None) -> Snapshot:
        """The snapshot for a memory size, booted at its first use. Errors: LaunchError."""
        size = step(memory_mib)
        making = self._made.get(size)
        if making is None:
            work = self._boot(size, uid)
            making = asyncio.get_running_loop().create_task(work, name=f"microvm boot {size}")
            self._made[size] = making
        try:
            return await asyncio.shield(making)
        except LaunchError:
            self._made.pop(size, None)
            raise

    async def _boot(self, size: int, uid: int | None) -> Snapshot:
        memory_mib = size + OVERHEAD_MIB + size // 32 // 2 * 2
        cpus = -(-size // _MIB_PER_CPU)
        with contextlib.ExitStack() as stack:
            memory = os.memfd_create("guest-memory", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
            stack.callback(os.close, memory)
            os.ftruncate(memory, memory_mib << 20)
            boot = self.image.file("vmlinux"), stack.enter_context(initrd(self.image))
            code, scratch = self._blank
            emulated = self.accelerator == "tcg"
            plan = Plan(
                accelerator=self.accelerator,
                memory_mib=memory_mib,
                cpus=cpus,
                memory=memory,
                template=True,
                disks=self._disks(code, code, scratch),
                boot=boot,
                tsc_khz=await asyncio.to_thread(tsc.khz) if emulated else 0,
                uid=uid,
            )
            began_s = asyncio.get_running_loop().time()
            python, state = await _boot_to_blank(plan)
            stack.callback(os.close, state)
            booted_s = asyncio.get_running_loop().time() - began_s
            fcntl.fcntl(memory, fcntl.F_ADD_SEALS, _SEALS)
            stack.pop_all()
        self.booted += 1
        return Snapshot(memory, state, memory_mib, cpus, booted_s, python)

    def _disks(self, code: int, layers: int, scratch: int) -> Sequence[tuple[int, bool]]:
        return (self._root, False), (code, False), (layers, False), (scratch, True)

    async def restore(
        self, snapshot: Snapshot, code: int, layers: int | None, scratch: int, uid: int | None
    ) -> Machine:
        """A machine of its own that goes on where the blank guest waits; the disks are its own.

        Errors: LaunchError.
        """
        blank = self._blank[0]
        plan = Plan(
            accelerator=self.accelerator,
            memory_mib=snapshot.memory_mib,
            cpus=snapshot.cpus,
            memory=snapshot.memory,
            template=False,
            disks=self._disks(code, blank if layers is None else layers, scratch),
            boot=None,
            uid=uid,
        )
        state = os.open(f"/proc/self/fd/{snapshot.state}", os.O_RDONLY | os.O_CLOEXEC)
        plan.descriptors.append(state)
        try:
            machine = Machine(plan)
        finally:
            os.close(state)
        try:
            await machine.greet()
            await machine.ask("migrate-incoming", uri=f"fd:{state}")
        except BaseException:
            machine.link.close()
            await machine.kill()
            raise
        self.restored += 1
        return machine

    async def close(self) -> None:
        """Forget everything; boots under way are cancelled, which kills their machines."""
        for making in self._made.values():
            making.cancel()
        for done in await asyncio.gather(*self._made.values(), return_exceptions=True):
            if isinstance(done, Snapshot):
                done.close()
        self._made.clear()
        for fd in (self._root, *self._blank):
            os.close(fd)


def _blank(size: int) -> int:
    """An empty disk for guests that have none yet: readable as /proc/self/fd says."""
    writable = size == SCRATCH_DISK_BYTES
    with tempfile.TemporaryFile() as file:
        os.truncate(file.fileno(), size)
        flags = os.O_RDWR if writable else os.O_RDONLY
        return os.open(f"/proc/self/fd/{file.fileno()}", flags | os.O_CLOEXEC)


@contextlib.contextmanager
def initrd(image: Image) -> Iterator[Path]:
    """The image's initramfs with our own programs behind it, for as long as a boot takes."""
    programs = {f"lambent/{path.name}": (0o644, path.read_bytes()) for path in _PROGRAMS}
    with tempfile.NamedTemporaryFile(prefix="lambent-initramfs-") as file:
        file.write(image.file("initramfs").read_bytes() + cpio(programs, folders=("lambent",)))
        file.flush()
        os.fchmod(file.fileno(), 0o644)
        yield Path(file.name)


async def _boot_to_blank(plan: Plan) -> tuple[tuple[int, ...], int]:
    """Boot until the guest says that it is blank; (its Python, its devices' state)."""
    machine = Machine(plan)
    said: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    def heard(message: dict[str, Any]) -> None:
        if not said.done():
            said.set_result(message)

    link = Link(machine.link, on_control=heard, on_output=lambda _: None, on_end=lambda: heard({}))
    kvm = plan.accelerator == "kvm"
    limit_s = KVM_ANSWER_S_MAX if kvm else BOOT_S_MAX
    where = "/dev/kvm" if kvm else "software emulation"
    try:
        async with asyncio.timeout(limit_s):
            message = await said
        python = tuple(int(part) for part in message.get("python", ()))
        if not python:
            raise LaunchError(f"a guest did not start under {where}: {machine.complaint()}")
        return python, await _save(machine)
    except TimeoutError as error:
        raise LaunchError(f"a guest did not answer within {limit_s:g} s under {where}") from error
    finally:
        link.close()
        await machine.kill()


async def _save(machine: Machine) -> int:
    """Write the state of a guest's devices; its memory is where it is."""
    state = os.memfd_create("guest-state", os.MFD_CLOEXEC)
    try:
        await machine.greet()
        await machine.ask("getfd", fd=state, fdname="state")
        await machine.ask("migrate", uri="fd:state")
        while True:
            progress = await machine.ask("query-migrate")
            if progress.get("status") == "completed":
                return state
            if progress.get("status") in ("failed", "cancelled"):
                raise LaunchError(f"no snapshot: {progress.get('error-desc', 'QEMU gave up')}")
            await asyncio.sleep(_POLL_S)
    except BaseException:
        os.close(state)
        raise
