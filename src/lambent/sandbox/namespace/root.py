"""What an environment sees of the file system: a plan that the nursery carries out.

Nothing of the host but a read-only runtime: its programs and libraries, the interpreter, and the
public part of /etc. AWS's folders are real here, so no variable has to be translated: /var/task is
the folder of all code (each environment covers it with its own package), /var/runtime our Node.js
bootstrap, /var/lang the interpreter. /proc, /tmp, /dev/shm and /run are made per environment.
Source: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from lambent.sandbox.box import LaunchError

Entry = tuple[str, str, str, int]
"""(folder | link | file | bind, path inside, source or content, mount flags)."""

TMP_MIB = 512
"""AWS's default size of /tmp, which cells have until they are occupied."""

ADDRESS = "169.254.100.1"
"""Where an environment finds the platform, as on AWS."""

RUNTIME_API_PORT = 9001

_NODEV = 4
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "pki",
    "protocols",
    "services",
    "ssl",
    "terminfo",
)
_DEVICES = ("null", "zero", "full", "random", "urandom")
_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/etc/passwd": "/run/passwd",
    "/etc/group": "/run/group",
    "/etc/mtab": "/proc/mounts",
    "/var/run": "/run",
    "/var/tmp": "/tmp",  # noqa: S108
}
_FILES = {
    "/etc/hostname": f"{ADDRESS}\n",
    "/etc/hosts": f"127.0.0.1 localhost\n::1 localhost\n{ADDRESS} sandbox sandbox.localdomain\n",
    "/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
    "/etc/os-release": 'NAME="Lambent"\nID=lambent\nPRETTY_NAME="Lambent environment"\n',
    "/etc/resolv.conf": "options attempts:1 timeout:1\n",
}
_FOLDERS = ("/proc", "/sys", "/tmp", "/run", "/dev/shm", "/opt", "/home", "/root")  # noqa: S108
_TAKEN = ("/proc", "/sys", "/tmp", "/run", "/dev", "/opt", "/var/task", "/var/runtime")  # noqa: S108

MASKED = (
    "acpi",
    "asound",
    "bus",
    "driver",
    "fs",
    "interrupts",
    "irq",
    "kallsyms",
    "kcore",
    "key-users",
    "keys",
    "kmsg",
    "latency_stats",
    "modules",
    "sched_debug",
    "scsi",
    "sysrq-trigger",
    "timer_list",
)
"""Of /proc: what tells or switches something of the machine."""


def entries(*, code: Path, runtime: Path, prefixes: Iterable[Path]) -> list[Entry]:
    """What the root is made of. `prefixes`: installations of interpreters, shown where they are.

    Errors: LaunchError when an interpreter is where an environment has something of its own.
    """
    plan: list[Entry] = [("folder", folder, "", 0) for folder in _FOLDERS]
    plan += [("link", path, target, 0) for path, target in _LINKS.items()]
    plan += [("file", path, text, 0) for path, text in _FILES.items()]
    plan += _system()
    plan += [("bind", f"/dev/{name}", f"/dev/{name}", 0) for name in _DEVICES]
    plan += [("bind", f"/etc/{name}", f"/etc/{name}", _NODEV) for name in _existing("/etc", _ETC)]
    plan += _interpreters(list(prefixes))
    plan.append(("bind", "/var/task", str(code), _NODEV))
    plan.append(("bind", "/var/runtime", str(runtime), _NODEV))
    if os.path.isdir("/sys/devices/system/cpu"):
        plan.append(("bind", "/sys/devices/system/cpu", "/sys/devices/system/cpu", _NODEV))
    return plan


def _system() -> Iterator[Entry]:
    for path in _SYSTEM:
        if os.path.islink(path):
            yield "link", path, os.readlink(path), 0
        elif os.path.isdir(path):
            yield "bind", path, path, _NODEV


def _existing(folder: str, names: Iterable[str]) -> Iterator[str]:
    return (name for name in names if os.path.exists(f"{folder}/{name}"))


def _interpreters(prefixes: list[Path]) -> Iterator[Entry]:
    for prefix in prefixes:
        if any(prefix == Path(path) or Path(path) in prefix.parents for path in _TAKEN):
            raise LaunchError(f"an interpreter at {prefix} cannot be shown at this isolation level")
        if not any(prefix == Path(path) or Path(path) in prefix.parents for path in _SYSTEM):
            yield "bind", str(prefix), str(prefix), _NODEV
    if prefixes:
        yield "link", "/var/lang", str(prefixes[0]), 0
