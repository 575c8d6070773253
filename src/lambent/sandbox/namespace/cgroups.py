"""Control groups of environments: found, made below the server's own, read, swept.

Both versions of the kernel's interface, in whatever mixture a machine has them. Every environment
gets a group `<own group>/<name of the sandbox's folder>/<number>`: below the server's own, so that
what limits the server limits its environments with it. The nursery makes, joins and removes the
groups of environments (joining waits for the kernel, so it must not happen on the loop); here is
the rest. Without a writable hierarchy a limit is what rlimits and the memory watch can do;
`missing` says which.

Memory: the group's ceiling is memory + /tmp, because the pages of /tmp, which AWS does not count,
are charged to whoever wrote them. What is counted as a function's memory is what is resident
anonymously, looked at by the memory watch (`resident_bytes`); the ceiling bounds what happens
between two looks. Source: https://docs.kernel.org/admin-guide/cgroup-v1/memory.html, cgroup-v2.html
"""

import os
from contextlib import suppress
from pathlib import Path

MIB = 1 << 20
CPU_PERIOD_US = 20_000  # with the usual 100 ms the share is off by a third at small sizes: measured
CPU_MIB = 1_769  # of memory buy one processor. Source: configuration-memory
_QUOTA_US_MIN = 1_000  # the kernel's
PIDS_MAX = 1_024  # Source: gettingstarted-limits, execution processes/threads
_V1 = ("memory", "cpu", "pids")


class Cgroups:
    """This server's groups. `name` is that of the sandbox's folder; makes the parents at once."""

    def __init__(self, name: str) -> None:
        self.parents: dict[str, Path] = {}
        """By hierarchy (`memory`, `cpu`, `pids`, or `unified`): the folder of all environments."""
        self.missing: list[str] = []
        """Why a limit is not exact, for the doctor."""
        mounts, own = _mounts(), _own_groups()
        for controller in _V1:
            if controller in mounts:
                self._make(controller, mounts[controller] / own.get(controller, "."), name)
        if "unified" in mounts and not self.parents:
            self._make_unified(mounts["unified"] / own.get("", "."), name)
        for controller in _V1:
            if controller not in self.parents and "unified" not in self.parents:
                self.missing.append(f"no writable cgroup for {controller}")

    def _make(self, controller: str, parent: Path, name: str) -> None:
        with suppress(OSError):
            (parent / name).mkdir(exist_ok=True)
            if os.access(parent / name, os.W_OK):
                self.parents[controller] = parent / name

    def _make_unified(self, parent: Path, name: str) -> None:
        """Version 2 needs its controllers handed down, level by level."""
        wanted = " ".join(f"+{controller}" for controller in _V1)
        with suppress(OSError):
            there = (parent / "cgroup.subtree_control").read_text().split()
            if not set(_V1) <= set(there):
                (parent / "cgroup.subtree_control").write_text(wanted)
            (parent / name).mkdir(exist_ok=True)
            (parent / name / "cgroup.subtree_control").write_text(wanted)
            self.parents["unified"] = parent / name

    @property
    def memory_file(self) -> str | None:
        """Where the ceiling is written, in a group of the memory hierarchy."""
        if "unified" in self.parents:
            return "memory.max"
        return "memory.limit_in_bytes" if "memory" in self.parents else None

    def settings(self) -> dict[str, list[tuple[str, str]]]:
        """By hierarchy: what is written into a new group."""
        known = {
            "cpu": [("cpu.cfs_period_us", str(CPU_PERIOD_US))],
            "pids": [("pids.max", str(PIDS_MAX))],
            "unified": [("pids.max", str(PIDS_MAX)), ("memory.oom.group", "1")],
        }
        return {name: known.get(name, []) for name in self.parents}

    def limit_cpu(self, box: int, memory_mib: int) -> None:
        """Give `box` its share of the processors: after init, which AWS lets run at full speed."""
        quota_us = max(_QUOTA_US_MIN, CPU_PERIOD_US * memory_mib // CPU_MIB)
        with suppress(OSError):
            if "cpu" in self.parents:
                _write(self.parents["cpu"] / str(box) / "cpu.cfs_quota_us", str(quota_us))
            elif "unified" in self.parents:
                _write(
                    self.parents["unified"] / str(box) / "cpu.max", f"{quota_us} {CPU_PERIOD_US}"
                )

    def memory(self, box: int) -> "MemoryGroup | None":
        """The memory group of `box`, which exists; None where there is none."""
        with suppress(OSError):
            if "memory" in self.parents:
                return MemoryGroup(self.parents["memory"] / str(box), unified=False)
            if "unified" in self.parents:
                return MemoryGroup(self.parents["unified"] / str(box), unified=True)
        return None

    def note(self, file: Path) -> None:
        """Write down which groups there are, for a later server if this one is killed."""
        file.write_text("\n".join(map(str, self.parents.values())), encoding="utf-8")

    def close(self) -> None:
        """Remove all groups of this server."""
        for parent in self.parents.values():
            _remove(parent)


class MemoryGroup:
    """One environment's memory, as the kernel counts it. Holds one descriptor."""

    def __init__(self, folder: Path, *, unified: bool) -> None:
        self._folder, self._unified = folder, unified
        name = "memory.current" if unified else "memory.usage_in_bytes"
        self._usage = os.open(folder / name, os.O_RDONLY | os.O_CLOEXEC)

    def charged_bytes(self) -> int:
        """All that is charged now, /tmp and cached files too: one cheap read. 0 when gone."""
        with suppress(OSError, ValueError):
            return int(os.pread(self._usage, 32, 0))
        return 0

    def resident_bytes(self) -> int:
        """What its processes hold for themselves now. 0 when gone."""
        name = b"anon" if self._unified else b"rss"
        with suppress(OSError, ValueError):
            for line in _read(self._folder / "memory.stat").splitlines():
                key, _, value = line.partition(b" ")
                if key == name:
                    return int(value)
        return 0

    def was_exceeded(self) -> bool:
        """Whether the kernel killed for want of memory."""
        name = "memory.events" if self._unified else "memory.oom_control"
        with suppress(OSError, ValueError):
            for line in _read(self._folder / name).splitlines():
                key, _, value = line.partition(b" ")
                if key == b"oom_kill":
                    return int(value) > 0
        return False

    def close(self) -> None:
        """Let go of the group."""
        if self._usage >= 0:
            os.close(self._usage)
            self._usage = -1


def sweep(file: Path, name: str) -> None:
    """Remove the groups that a server that is gone has noted in `file`; all are called `name`.

    They may be anywhere: each start of a server can be in another group than the last.
    """
    with suppress(OSError):
        for line in file.read_text(encoding="utf-8").splitlines():
            if Path(line).name == name:
                _remove(Path(line))


def _mounts() -> dict[str, Path]:
    """Where each controller's hierarchy is mounted, and the unified one, if it has controllers."""
    found: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        fields, _, kind = line.partition(" - ")
        place, kind, options = Path(fields.split()[4]), kind.split()[0], kind.split()[-1]
        if kind == "cgroup":
            found.update(dict.fromkeys(options.split(","), place))
        elif kind == "cgroup2":
            found["unified"] = place
    return found


def _own_groups() -> dict[str, str]:
    """This process's group by controller (`""`: the unified one), relative to the mount."""
    found = {}
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path.lstrip("/")
    return found


def _remove(folder: Path) -> None:
    with suppress(OSError):
        for child in folder.iterdir():
            if child.is_dir():
                with suppress(OSError):
                    child.rmdir()
        folder.rmdir()


def _write(path: Path, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _read(path: Path) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, 8192)
    finally:
        os.close(fd)
