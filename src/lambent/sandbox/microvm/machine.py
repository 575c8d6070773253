"""One QEMU process: how it is started, confined, watched and killed; and what can be asked of it.

Everything that it uses is handed to it as an open descriptor (memory, disks, port, monitor), so its
user needs no access to any folder. As root every machine has a uid of its own; in any case QEMU's
seccomp filter forbids it to start programs or change its identity, and it dies with the server.
It has no network device and no disk of the host.
"""

import array
import asyncio
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lambent.sandbox.box import LaunchError

QEMU = "qemu-system-x86_64"
QEMU_PACKAGE = "qemu-system-x86"
_FILTER = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
_KERNEL_OPTIONS = "quiet panic=-1 reboot=t rdinit=/init random.trust_cpu=on"
_KNOWN_CLOCK = " tsc=reliable tsc_early_khz={khz}"  # why: tsc.py
_REPLY_BYTES_MAX = 1 << 20
_DESCRIPTORS_MAX = 256


@dataclass(slots=True, kw_only=True)
class Plan:
    """What a machine is made of. Descriptors stay the caller's."""

    accelerator: str  # kvm | tcg
    memory_mib: int
    cpus: int
    memory: int
    """Descriptor of the guest's memory file."""
    template: bool
    """Write through to the memory file, instead of a private copy of what is changed."""
    disks: Sequence[tuple[int, bool]]
    """(descriptor, writable), in the guest's order: vda, vdb, ..."""
    boot: tuple[Path, Path] | None
    """Kernel and initramfs; None when it is restored."""
    tsc_khz: int = 0
    uid: int | None = None
    descriptors: list[int] = field(default_factory=list)
    """Others that it must inherit."""


def command(plan: Plan, link: int, monitor: int) -> list[str]:
    """QEMU's command line."""
    share = "on" if plan.template else "off"
    words = [QEMU, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    words += ["-name", "lambent", "-sandbox", _FILTER]
    words += ["-accel", plan.accelerator, "-cpu", "host" if plan.accelerator == "kvm" else "max"]
    words += ["-M", "microvm,x-option-roms=off,isa-serial=off,memory-backend=ram"]
    words += ["-smp", str(plan.cpus), "-m", f"{plan.memory_mib}M"]
    words += [
        "-object",
        f"memory-backend-file,id=ram,size={plan.memory_mib}M,mem-path=/proc/self/fd/{plan.memory}"
        f",share={share}",
    ]
    for number, (fd, writable) in enumerate(plan.disks):
        only = "off" if writable else "on"
        words += ["-add-fd", f"fd={fd},set={number}"]
        words += [
            "-blockdev",
            f"driver=file,node-name=file{number},filename=/dev/fdset/{number},read-only={only}"
            ",locking=off",
            "-blockdev",
            f"driver=raw,node-name=disk{number},file=file{number},read-only={only}",
            "-device",
            f"virtio-blk-device,drive=disk{number}",
        ]
    words += ["-device", "virtio-serial-device,max_ports=2"]
    words += ["-chardev", f"socket,id=link,fd={link}"]
    words += ["-device", "virtserialport,chardev=link,name=lambent,nr=1"]
    words += ["-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control"]
    if plan.boot is None:
        return [*words, "-incoming", "defer"]
    kernel, initramfs = plan.boot
    options = _KERNEL_OPTIONS + (_KNOWN_CLOCK.format(khz=plan.tsc_khz) if plan.tsc_khz else "")
    return [*words, "-kernel", str(kernel), "-initrd", str(initramfs), "-append", options]


def confined(words: list[str], uid: int | None, device: Path | None = None) -> list[str]:
    """The command as it is run: limits, death with the server and, as root, a user of its own."""
    limits = ["prlimit", "--core=0", f"--nofile={_DESCRIPTORS_MAX}"]
    leash = ["setpriv", "--no-new-privs", "--pdeathsig", "KILL"]
    if uid is not None:
        groups = ["--clear-groups"]
        if device is not None and device.exists():
            groups = ["--groups", str(device.stat().st_gid)]
        leash += ["--reuid", str(uid), "--regid", str(uid), *groups]
        leash += ["--inh-caps=-all", "--bounding-set=-all"]
    return [*limits, *leash, *words]


class Machine:
    """A running QEMU. `exited` is done when the process is gone and reaped."""

    def __init__(self, plan: Plan) -> None:
        self._loop = asyncio.get_running_loop()
        self.link, link = socket.socketpair()
        self._monitor, monitor = socket.socketpair()
        self._words = os.memfd_create("qemu-errors")
        self._complaint = ""
        self._reply = bytearray()
        device = Path("/dev/kvm") if plan.accelerator == "kvm" else None
        words = confined(command(plan, link.fileno(), monitor.fileno()), plan.uid, device)
        fds = [link.fileno(), monitor.fileno(), plan.memory, *(fd for fd, _ in plan.disks)]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - fixed programs, no shell
                words,
                env={"PATH": os.defpath},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=self._words,
                stderr=self._words,
                pass_fds=[*fds, *plan.descriptors],
            )
        except OSError as error:
            for sock in (self.link, self._monitor):
                sock.close()
            os.close(self._words)
            raise LaunchError(f"{words[0]}: {error.strerror}") from error
        finally:
            link.close()
            monitor.close()
        self.pid = self.process.pid
        self.exited: asyncio.Future[None] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._ended)
        self._monitor.setblocking(False)

    def _ended(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        self.process.wait()
        self._monitor.close()
        self._complaint = _first_line(self._words)
        os.close(self._words)
        self.exited.set_result(None)

    def complaint(self) -> str:
        """The first thing that QEMU complained of, for an error's text."""
        return self._complaint or _first_line(self._words)

    async def kill(self) -> None:
        """End it; returns when it is gone. Idempotent. The link stays its owner's."""
        if not self.exited.done():
            self.process.kill()
            await asyncio.shield(self.exited)

    # ---- the monitor ----

    async def greet(self) -> None:
        """Begin the conversation with the monitor. Errors: LaunchError."""
        await self._line()
        await self.ask("qmp_capabilities")
        capability = {"capability": "x-ignore-shared", "state": True}
        await self.ask("migrate-set-capabilities", capabilities=[capability])

    async def ask(self, order: str, *, fd: int | None = None, **arguments: Any) -> Any:
        """One QMP command; what it returns. Errors: LaunchError."""
        data = json.dumps({"execute": order, "arguments": arguments}).encode()
        rights = [] if fd is None else [array.array("i", [fd])]
        try:
            self._monitor.sendmsg(
                [data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, one) for one in rights]
            )
        except OSError as error:
            raise LaunchError(self.complaint()) from error
        while True:
            reply = json.loads(await self._line())
            if "return" in reply:
                return reply["return"]
            if "error" in reply:
                raise LaunchError(f"QEMU: {order}: {reply['error'].get('desc')}")

    async def _line(self) -> bytes:
        while b"\n" not in self._reply:
            try:
                data = await self._loop.sock_recv(self._monitor, 65_536)
            except OSError:
                data = b""
            self._reply += data
            if not data or len(self._reply) > _REPLY_BYTES_MAX:
                raise LaunchError(self.complaint())
        line, _, rest = self._reply.partition(b"\n")
        self._reply = bytearray(rest)
        return bytes(line)


def _first_line(fd: int) -> str:
    text = os.pread(fd, 4000, 0).decode(errors="replace").strip()
    return next(iter(text.splitlines()), "QEMU ended without a word")[:300]


def missing_programs(search_path: str) -> list[str]:
    """What this level needs and this machine lacks, with the Debian packages' names."""
    packages = {QEMU: QEMU_PACKAGE, "setpriv": "util-linux", "prlimit": "util-linux",
                "mke2fs": "e2fsprogs"}  # fmt: skip
    path = f"{search_path}:{os.defpath}:/usr/sbin:/sbin"
    return [
        f"no {name}: install the Debian package {package}"
        for name, package in packages.items()
        if shutil.which(name, path=path) is None
    ]
