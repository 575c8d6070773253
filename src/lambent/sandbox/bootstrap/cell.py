"""Cells: the name spaces, the root and the cgroups that an environment lives in.

Loaded by the nursery, by its path, at the `namespace` level. Two things are done here. The nursery
itself enters a pid name space and a mount name space with a root of its own (`enter`): if it dies,
the kernel kills everything that it ever started, and what it does not show in its root cannot be
seen by any environment. Then every environment is forked into a cell of its own: `Cells` is the
nursery's end of that, `furnish` and `occupy` are the child's.

A cell is furnished in advance, while nothing is known yet of the function that will use it, because
that is what takes long (name spaces 1.5 ms, joining cgroups 10 ms and more). `occupy` then takes
two system calls: the folder of all code lies at /var/task, covered by the one package that is
bound over it, which is read-only because the folder's mount is.

Each cell has an init: a process that only waits, so that pid 1's immunity to signals is not the
runtime's, and that takes all others with it when it is killed. Standard library only, Python 3.8.
"""

from __future__ import annotations  # Python 3.8

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
import socket
import struct
from typing import Any

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS = 0x00020000, 0x02000000, 0x04000000
CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID = 0x08000000, 0x10000000, 0x20000000
CLONE_NEWNET = 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND = 1, 2, 4, 8, 32, 4096
MS_REC, MS_PRIVATE = 16384, 1 << 18
MS_LOCKABLE = MS_NOSUID | MS_NODEV | MS_NOEXEC | 1024 | 2048 | 1 << 21  # and the atime ones
MNT_DETACH = 2
PR_SET_PDEATHSIG, PR_CAPBSET_DROP = 1, 24
KEYCTL_JOIN_SESSION_KEYRING = 1
SYS_KEYCTL = {"x86_64": 250, "aarch64": 219}
SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8914, 0x8916, 0x891C
IFF_UP_RUNNING = 0x41
CAPABILITIES_MAX = 64
ID_INSIDE, GROUP_INSIDE = 993, 990  # AWS's sbx_user1051, where ids are ours to choose

_libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """A function of the C library; OSError, named, on failure."""
    result: int = getattr(_libc, name)(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, "%s: %s" % (name, os.strerror(number)))
    return result


def mount(
    source: str | None, target: str, kind: str | None, flags: int, options: str | None = None
) -> None:
    """mount(2); OSError that names the target."""
    args = [None if a is None else os.fsencode(a) for a in (source, target, kind, options)]
    if _libc.mount(args[0], args[1], args[2], ctypes.c_ulong(flags), args[3]) != 0:
        number = ctypes.get_errno()
        raise OSError(number, "mount %s: %s" % (target, os.strerror(number)))


def bind(source: str, target: str, flags: int) -> None:
    """Show `source` at `target`, read-only and with `flags`."""
    try:
        mount(source, target, None, MS_BIND)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        mount(source, target, None, MS_BIND | MS_REC)  # what is mounted inside may not be left out
    kept = os.statvfs(target).f_flag & MS_LOCKABLE
    mount(None, target, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | flags | kept)


# ---- the nursery's own cell ----


def enter(plan: dict[str, Any]) -> None:
    """Take this process into name spaces of its own, with `plan["root"]` as its whole world.

    Returns in a child; the process that was started stays behind and waits for it. OSError when
    something is not permitted here.
    """
    flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID
    if plan["rootless"]:
        uid, gid = os.getuid(), os.getgid()
        call("unshare", CLONE_NEWUSER)
        write("/proc/self/setgroups", "deny")
        write("/proc/self/uid_map", "%d %d 1" % (ID_INSIDE, uid))
        write("/proc/self/gid_map", "%d %d 1" % (GROUP_INSIDE, gid))
    call("unshare", flags)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    child = os.fork()
    if child:
        os.closerange(3, 1024)
        _, status = os.waitpid(child, 0)
        os._exit(1 if status else 0)
    call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    build(plan)
    os.chdir(plan["root"])
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")
    with contextlib.suppress(OSError):
        call("sethostname", plan["hostname"].encode(), len(plan["hostname"]))


def build(plan: dict[str, Any]) -> None:
    """Make the root on a small file system in memory."""
    root = plan["root"]
    mount("lambent", root, "tmpfs", MS_NOSUID, "mode=0755,size=1m")
    for kind, target, source, flags in plan["entries"]:
        place = root + target
        if kind == "folder":
            os.makedirs(place, 0o755, exist_ok=True)
            continue
        os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
        if kind == "link":
            os.symlink(source, place)
        elif kind == "file":
            write(place, source)
        elif os.path.isdir(source):
            os.makedirs(place, 0o755, exist_ok=True)
            bind(source, place, flags)
        else:
            write(place, "")
            bind(source, place, flags)
    mount("proc", root + "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    mount(None, root, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID)


def write(path: str, text: str, folder: int | None = None) -> None:
    """Write a small file; O_TRUNC would be refused by some of the kernel's."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644, dir_fd=folder)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class Cells:
    """The nursery's end: a pid name space with its init, and cgroups, per environment."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.cgroups = {
            name: os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            for name, path in plan["cgroups"].items()
        }
        self.settings = plan["settings"]  # per hierarchy: (file, text) written into a new cgroup
        self.own_pids = -1

    def open(self, box: int) -> int:
        """Make the cgroups and the init of `box`; the next forks of this process are in its cell.

        Returns the init's pid. OSError.
        """
        if self.own_pids < 0:
            self.own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        for name, parent in self.cgroups.items():
            with contextlib.suppress(FileExistsError):
                os.mkdir(str(box), 0o755, dir_fd=parent)
            for file, text in self.settings[name]:
                write("%d/%s" % (box, file), text, parent)
        call("unshare", CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            try:
                wait_forever()
            finally:
                os._exit(1)
        return pid

    def leave(self) -> None:
        """Forks of this process belong to it again."""
        if self.own_pids >= 0:
            call("setns", self.own_pids, CLONE_NEWPID)

    def furnish(self, message: dict[str, Any], mounts: int | None) -> tuple[list[int], int]:
        """In the child: see below."""
        return furnish(self.plan, self.cgroups, message, mounts)

    def occupy(self, start: dict[str, Any], memory: int) -> None:
        """In the child: see below."""
        occupy(self.plan, start, memory if "memory_file" in self.plan else -1)

    def remove(self, box: int) -> None:
        """Remove the cgroups of `box`, which has no process left."""
        for parent in self.cgroups.values():
            with contextlib.suppress(OSError):
                os.rmdir(str(box), dir_fd=parent)


def wait_forever() -> None:
    """Be the init of a cell: adopt what loses its parent, and wait to be killed.

    As `sleep`, where there is one: a forked interpreter holds a megabyte of its own for that.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # who ends is gone at once, after the exec too
    os.closerange(0, 1024)
    with contextlib.suppress(OSError):
        os.execve("/usr/bin/sleep", ["init", "infinity"], {})
    while True:
        signal.pause()


# ---- in the child ----


def furnish(
    plan: dict[str, Any], cgroups: dict[str, int], message: dict[str, Any], mounts: int | None
) -> tuple[list[int], int]:
    """Move into a new cell that is still empty; the process keeps its capabilities.

    `mounts`: the mount name space of an earlier environment, whose /tmp is to be kept. Returns the
    descriptors for the server: the listening sockets inside, and the mount name space; and the
    folder of this cell's memory cgroup (or -1).
    """
    memory = -1
    for name, parent in cgroups.items():
        folder = os.open(str(message["box"]), os.O_RDONLY | os.O_CLOEXEC, dir_fd=parent)
        write("cgroup.procs", "0", folder)
        if name in ("memory", "unified"):
            memory = folder
    others = CLONE_NEWIPC | CLONE_NEWUTS | (CLONE_NEWCGROUP if cgroups else 0)
    if not plan["share_network"]:
        others |= CLONE_NEWNET
    if mounts is None:
        call("unshare", others | CLONE_NEWNS)
        furnish_folders(plan, message)
    else:
        call("setns", mounts, CLONE_NEWNS)
        call("unshare", others)
        call("umount2", b"/proc", MNT_DETACH)
        mount_proc(plan)
    listeners = [] if plan["share_network"] else connect(plan, message["listen"])
    own_mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    new_keyring()
    for number in range(CAPABILITIES_MAX):
        if _libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            break
    return [own_mounts, *listeners], memory


def furnish_folders(plan: dict[str, Any], message: dict[str, Any]) -> None:
    """What is the environment's own: /proc, /tmp, /dev/shm, and its user's name."""
    uid = ID_INSIDE if message["uid"] is None else message["uid"]
    gid = GROUP_INSIDE if message["uid"] is None else message["uid"]
    owner = "mode=0700,uid=%d,gid=%d" % (uid, gid)
    mount_proc(plan)
    size = "%s,size=%dm" % (owner, plan["tmp_mib"])
    mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, size)
    mount("shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "size=64m," + owner)
    mount("run", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=64k")
    user = "sbx_user1051:x:%d:%d::/home/sbx_user1051:/sbin/nologin\n" % (uid, gid)
    write("/run/passwd", "root:x:0:0:root:/root:/sbin/nologin\n" + user)
    write("/run/group", "root:x:0:\nsbx_user1051:x:%d:\n" % gid)
    mount(None, "/run", None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def mount_proc(plan: dict[str, Any]) -> None:
    """The processes of this cell, each visible to its own user; the machine's switches hidden."""
    flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
    mount("proc", "/proc", "proc", flags, "hidepid=2")
    for path in plan["masked"]:
        place = "/proc/" + path
        if os.path.isdir(place):
            mount("none", place, "tmpfs", flags | MS_RDONLY, "size=0")
        elif os.path.exists(place):
            mount("/dev/null", place, None, MS_BIND)
    mount("/proc/sys", "/proc/sys", None, MS_BIND)
    mount(None, "/proc/sys", None, MS_REMOUNT | MS_BIND | MS_RDONLY | flags)


def connect(plan: dict[str, Any], listen: list[Any]) -> list[int]:
    """Bring up a network that reaches nobody, and listen in it on the server's behalf.

    Whoever has such a socket serves this environment and no other, wherever that process lives.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        up = struct.pack("16sH22x", b"lo", IFF_UP_RUNNING)
        fcntl.ioctl(control, SIOCSIFFLAGS, up)
        for number, address in enumerate(plan["addresses"]):
            name = b"lo:%d" % number
            for request, value in ((SIOCSIFADDR, address), (SIOCSIFNETMASK, "255.255.255.255")):
                packed = struct.pack("16sHH4s16x", name, socket.AF_INET, 0, socket.inet_aton(value))
                fcntl.ioctl(control, request, packed)
    listeners = []
    for host, port in listen:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
        listeners.append(sock.detach())
    return listeners


def new_keyring() -> None:
    """A session keyring of its own instead of the server's."""
    number = SYS_KEYCTL.get(os.uname().machine)
    if number is not None:
        _libc.syscall(number, KEYCTL_JOIN_SESSION_KEYRING, None)


def occupy(plan: dict[str, Any], start: dict[str, Any], memory: int) -> None:
    """Let the function in: its code, its layers, the size of its /tmp, its memory. OSError."""
    if start["code"] is not None:  # else an earlier environment of this cell has let it in
        if start["opt"] is not None:
            mount("/var/task/" + start["opt"], "/opt", None, MS_BIND)
        mount("/var/task/" + start["code"], "/var/task", None, MS_BIND)
        if start["tmp_mib"] != plan["tmp_mib"]:
            size = "size=%dm" % start["tmp_mib"]
            mount(None, "/tmp", None, MS_REMOUNT | MS_NOSUID | MS_NODEV, size)
    if memory >= 0:
        write(plan["memory_file"], str(start["memory_bytes"]), memory)
        os.close(memory)


def probe(rootless: bool) -> str:
    """Do in a child what `enter` and `furnish` will do; the reason why it cannot be, or nothing.

    Nobody waits for that child: taking its name spaces down would take longer than all the rest.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.closerange(0, 3)
        text = ""
        try:
            uid, gid = os.getuid(), os.getgid()
            if rootless:
                call("unshare", CLONE_NEWUSER)
                write("/proc/self/setgroups", "deny")
                write("/proc/self/uid_map", "%d %d 1" % (ID_INSIDE, uid))
                write("/proc/self/gid_map", "%d %d 1" % (GROUP_INSIDE, gid))
            flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWNET
            call("unshare", flags)
            if os.fork():
                os.close(writer)
                os._exit(0)
            mount(None, "/", None, MS_REC | MS_PRIVATE)
            mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "hidepid=2")
            mount("lambent", "/mnt", "tmpfs", MS_NOSUID, "size=64k")
            text = "ok"
        except OSError as error:
            text = error.strerror or str(error)
        finally:
            os.write(writer, text.encode())
            os._exit(0)
    os.close(writer)
    text = os.read(reader, 1000).decode()
    return "" if text == "ok" else text or "the attempt died"


if __name__ == "__main__":
    print(probe(os.getuid() != 0))
