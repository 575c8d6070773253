"""The servers that are measured: Lambent, and MiniStack in an environment of its own.

MiniStack (PyPI `ministack`, MIT) is used here as it comes: defaults, nothing durable. Lambent runs
with its defaults on the disk of the checkout, every write durable.
"""

import http.client
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[1]
MINISTACK = "ministack==1.5.33"
START_S_MAX = 60.0
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class PeerError(Exception):
    """A peer cannot be had or does not start; the text says why."""


class Peer:
    """A server as a process tree; subclasses say how it is started."""

    name: str
    health: str
    command: list[str]
    env: Mapping[str, str] = {}

    def __init__(self) -> None:
        # Not under /tmp, which may be memory: a durable write must cost what it costs.
        (ROOT / "build").mkdir(exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=f"bench-{self.name}-", dir=ROOT / "build"))
        self.port = _free_port()
        self.start_s = 0.0

    def start(self) -> Self:
        """Returns when it says that it is healthy. Errors: PeerError."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        began_s = time.perf_counter()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command, env=kept | self.env, cwd=self.folder, stdout=log, stderr=log
            )
        while not self._healthy():
            if self.process.poll() is not None or time.perf_counter() - began_s > START_S_MAX:
                tail = (self.folder / "log").read_bytes()[-500:].decode(errors="replace")
                self.stop()
                raise PeerError(f"{self.name} did not start: {tail}")
            time.sleep(0.002)
        self.start_s = time.perf_counter() - began_s
        return self

    def stop(self) -> None:
        """End it and remove what it left."""
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds so far of the server process, and of it with all its descendants."""
        own, reaped = _cpu_s(self.process.pid)
        return own, own + reaped + sum(sum(_cpu_s(pid)) for pid in self._descendants())

    def memory_mb(self) -> float:
        """Proportional set size of the process tree, MB: shared pages are counted once."""
        total_kb = 0
        for pid in [self.process.pid, *self._descendants()]:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total_kb += int(rollup.split("\nPss:")[1].split()[0])
        return total_kb * 1024 / 1e6

    def _descendants(self) -> list[int]:
        children: dict[int, list[int]] = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has just ended
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
        found = list(children.get(self.process.pid, []))
        for pid in found:
            found += children.get(pid, [])
        return found

    def _healthy(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.health)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


class Lambent(Peer):
    """This tree."""

    name = "lambent"
    health = "/_lambent/health"

    def __init__(self) -> None:
        super().__init__()
        program = str(Path(sys.executable).with_name("lambent"))
        data = str(self.folder / "data")
        self.command = [program, "serve", "--port", str(self.port), "--data", data]


class MiniStack(Peer):
    """The competing emulator."""

    name = "ministack"
    health = "/_ministack/health"

    def __init__(self) -> None:
        super().__init__()
        self.command = [str(ROOT / ".venv-ministack" / "bin" / "ministack")]
        folders = {"STATE_DIR": str(self.folder / "state"), "S3_DATA_DIR": str(self.folder / "s3")}
        self.env = {"GATEWAY_PORT": str(self.port)} | folders

    @staticmethod
    def install() -> None:
        """Make its environment unless it is there. Errors: PeerError."""
        venv = ROOT / ".venv-ministack"
        if (venv / "bin" / "ministack").exists():
            return
        print(f"installing {MINISTACK} into {venv.name} (once)", file=sys.stderr)
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", MINISTACK]
        for command in ([sys.executable, "-m", "venv", str(venv)], pip):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise PeerError(f"{MINISTACK} cannot be installed: {done.stderr.strip()[-300:]}")


def _cpu_s(pid: int) -> tuple[float, float]:
    """CPU seconds of a process, and of its children that have ended and been waited for."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    user, system, child_user, child_system = (int(text) * _TICK_S for text in fields[11:15])
    return user + system, child_user + child_system


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])
