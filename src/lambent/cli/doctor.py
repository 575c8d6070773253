"""`lambent doctor`: what this machine can do, found by doing it rather than by asking for versions.

Each finding says what is there, or what is missing and the Debian package that brings it. Functions
count as runnable only when one has run: the last finding of the first section is a real function in
a real environment.
"""

import argparse
import asyncio
import json
import os
import platform
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lambent import __version__
from lambent.base.clock import RealClock, monotonic
from lambent.base.config import default_data, environment
from lambent.base.errors import StartupError
from lambent.base.ids import RandomIds
from lambent.cli.terminal import BOLD, DIM, GREEN, RED, YELLOW, progress, styled
from lambent.sandbox.box import BoxGone, Invocation, LaunchError, Probe, Spec
from lambent.sandbox.levels import why_not
from lambent.sandbox.process import ProcessSandbox
from lambent.sandbox.runtimes import UnknownRuntimeError
from lambent.services.lambda_.configuration import CURRENT_RUNTIMES, LANGUAGES, NEWER_RUNTIMES
from lambent.store import open_store
from lambent.store.protocol import Corrupt

GOOD, POOR, BAD = "good", "poor", "bad"
"""Good: works. Poor: works less well, or an optional part is absent. Bad: does not work."""
MARKS = {GOOD: ("ok", GREEN), POOR: ("--", YELLOW), BAD: ("no", RED)}

HIGHER_LEVELS = {
    "namespace": "works by --isolation namespace; not `auto`: it has no outbound network yet",
    "microvm": "works by --isolation microvm; not `auto`: no hardware acceleration was proven",
}
"""Levels above what `auto` is, and why it is not they where they work."""

FUNCTION_S_MAX = 10.0
MIB = 1 << 20

OPTIONAL = (
    ("node", "nodejs", "runs nodejs functions"),
    ("npm", "npm", "lets the tests run AWS's own Node.js runtime client"),
    ("gcc", "gcc", "lets the tests build AWS's own Python runtime client"),
    ("wrk", "wrk", "loads the benchmark (`make bench`)"),
    ("qemu-system-x86_64", "qemu-system-x86", "for functions in microVMs, which come later"),
    ("postgres", "postgresql", "for a server on several machines, which comes later"),
)
"""Program, Debian package, what it is for."""

BUILTIN_PLACES = ("/usr/lib/postgresql/*/bin",)
"""Where Debian keeps programs that are not on the PATH."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    section: str
    name: str
    state: str
    text: str
    package: str = ""
    """The Debian package that brings what is missing."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which data folder to check, and the form of the report."""
    parser.add_argument("--data", metavar="DIR", help="also check all that is stored in DIR")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Print the report. Returns 1 if functions cannot run or stored data is damaged."""
    with progress("looking at this machine"):
        findings = asyncio.run(_findings(arguments.data))
    if arguments.json:
        rows = [asdict(finding) for finding in findings]
        print(json.dumps({"version": __version__, "findings": rows}, indent=2))
    else:
        for line in report(findings):
            print(line)
    return 1 if any(finding.state == BAD for finding in findings) else 0


def report(findings: list[Finding]) -> Iterator[str]:
    """The lines of the report, for people."""
    section = ""
    width = max(len(finding.name) for finding in findings)
    for finding in findings:
        if finding.section != section:
            section = finding.section
            yield styled(section, BOLD, sys.stdout)
        word, colour = MARKS[finding.state]
        package = f" (Debian package: {finding.package})" if finding.package else ""
        yield (
            f"  {styled(word, colour, sys.stdout)}  {finding.name:<{width}}  {finding.text}"
            f"{styled(package, DIM, sys.stdout)}"
        )


async def _findings(data: str | None) -> list[Finding]:
    env = environment()
    home, search_path = Path.home(), env.get("PATH", "")
    sandbox = ProcessSandbox(home=home, search_path=search_path)  # what `auto` is
    try:
        findings = [*_machine(), *_isolation(sandbox, home, search_path), await _function(sandbox)]
        findings += [*_runtimes(sandbox), *_limits(), *_optional(env.get("PATH", ""))]
    finally:
        await sandbox.close()
    return [*findings, *await _data(data)]


def _machine() -> Iterator[Finding]:
    section = "machine"
    system = f"{_distribution()}, {platform.system()} {platform.release()}, {platform.machine()}"
    linux = sys.platform == "linux"
    yield Finding(section, "system", GOOD if linux else POOR, system)
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(section, "python", GOOD, f"{version} at {sys.executable}")
    memory_mib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // MIB
    yield Finding(section, "capacity", GOOD, f"{os.cpu_count()} processors, {memory_mib:,} MiB")


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _isolation(sandbox: ProcessSandbox, home: Path, search_path: str) -> Iterator[Finding]:
    yield _level(sandbox.probe(), "what `auto` is here")
    for level, praise in HIGHER_LEVELS.items():
        reason = why_not(level, home=home, search_path=search_path)
        text = f"does not work here: {reason}" if reason else praise
        yield Finding("functions", level, POOR if reason else GOOD, text)


def _level(probe: Probe, praise: str) -> Finding:
    state = (POOR if probe.reasons else GOOD) if probe.works else BAD
    return Finding("functions", probe.level, state, "; ".join((praise, *probe.reasons)))


async def _function(sandbox: ProcessSandbox) -> Finding:
    """Run a function, the way Lambda would."""
    section, name = "functions", "a function"
    runtime = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    began_s = monotonic()
    try:
        folder = sandbox.code_root / "doctor"
        folder.mkdir()
        (folder / "app.py").write_text("def handler(event, context):\n    return event\n")
        async with asyncio.timeout(FUNCTION_S_MAX):
            answer = await _answer(sandbox, runtime, folder)
    except (LaunchError, BoxGone, TimeoutError, OSError) as error:
        reason = str(error) or f"no answer within {FUNCTION_S_MAX:.0f} s"
        return Finding(section, name, BAD, f"cannot run: {reason}")
    if answer != b'{"asked": 1}':
        return Finding(section, name, BAD, f"a {runtime} function answered {answer[:200]!r}")
    took_ms = (monotonic() - began_s) * 1000
    return Finding(section, name, GOOD, f"a {runtime} function answered within {took_ms:.0f} ms")


async def _answer(sandbox: ProcessSandbox, runtime: str, folder: Path) -> bytes:
    box = await sandbox.launch(
        Spec(
            id="doctor",
            runtime=runtime,
            handler="app.handler",
            task_root=folder,
            layers_root=None,
            environment={"LAMBDA_TASK_ROOT": "/var/task", "LANG": "en_US.UTF-8"},
            memory_mib=128,
            tmp_mib=512,
            init_timeout_s=FUNCTION_S_MAX,
            on_output=lambda _line: None,
        )
    )
    try:
        if failed := await box.ready():
            return failed.payload
        deadline_ms = int((RealClock().now() + FUNCTION_S_MAX) * 1000)
        answer = await box.invoke(
            Invocation(
                request_id=RandomIds().uuid(),
                payload=b'{"asked": 1}',
                deadline_ms=deadline_ms,
                function_arn="arn:aws:lambda:us-east-1:000000000000:function:doctor",
            )
        )
        return answer.payload
    finally:
        await box.close()


def _runtimes(sandbox: ProcessSandbox) -> Iterator[Finding]:
    section = "runtimes"
    served = [id for id in (*CURRENT_RUNTIMES, *NEWER_RUNTIMES) if id.startswith(LANGUAGES)]
    for id in sorted(served, key=_natural):
        try:
            found = sandbox.resolve(id)
        except UnknownRuntimeError as error:
            package = "nodejs" if id.startswith("nodejs") else "python3"
            yield Finding(section, id, POOR, str(error), package)
            continue
        if found.interpreter is None:
            yield Finding(section, id, GOOD, "runs the package's own `bootstrap`")
        elif found.note:
            yield Finding(section, id, POOR, found.note)
        else:
            version = ".".join(map(str, found.interpreter.version))
            yield Finding(section, id, GOOD, f"{version} at {found.interpreter.path}")


def _natural(id: str) -> tuple[str, tuple[int, ...]]:
    language = id.rstrip(".x0123456789")
    digits = id.removeprefix(language).removesuffix(".x").split(".")
    return language, tuple(int(digit) for digit in digits if digit.isdecimal())


def _limits() -> Iterator[Finding]:
    section = "limits"
    yield Finding(section, "time", GOOD, "a function is stopped at its timeout")
    text = "watched from outside; --isolation namespace bounds it by a cgroup, and the processor"
    yield Finding(section, "memory", POOR, text)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    enough = hard in (resource.RLIM_INFINITY,) or hard >= 4096
    state = GOOD if enough else POOR
    text = f"{soft:,} now, at most {_amount(hard)}" + ("" if enough else ": few connections")
    yield Finding(section, "open files", state, text)


def _amount(limit: int) -> str:
    return "without limit" if limit == resource.RLIM_INFINITY else f"{limit:,}"


def _optional(search_path: str) -> Iterator[Finding]:
    section = "optional parts"
    places = [str(place) for pattern in BUILTIN_PLACES for place in Path("/").glob(pattern[1:])]
    path = os.pathsep.join([search_path, *places])
    for program, package, purpose in OPTIONAL:
        found = shutil.which(program, path=path)
        if found:
            yield Finding(section, program, GOOD, f"{purpose}: {found}")
        else:
            yield Finding(section, program, POOR, f"not found; {purpose}", package)


async def _data(data: str | None) -> list[Finding]:
    section, name = "data", "folder"
    if data is None:
        folder = default_data(environment())
        return [Finding(section, name, *_writable(folder))]
    folder = Path(data).expanduser().absolute()
    if not (folder / "lambent.db").exists():
        return [Finding(section, name, *_writable(folder))]
    try:
        store = await open_store(folder)
    except (StartupError, Corrupt) as error:
        return [Finding(section, name, BAD, str(error))]
    try:
        wrong = await store.verify()
        stats: Any = await store.stats()
    finally:
        await store.close()
    if wrong:
        return [Finding(section, "damage", BAD, line) for line in wrong]
    text = f"{folder}: {stats.records:,} records, {stats.db_bytes // 1024:,} KiB, all intact"
    return [Finding(section, name, GOOD, text)]


def _writable(folder: Path) -> tuple[str, str]:
    """Whether a server could keep its data there; nothing is left behind."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.TemporaryDirectory(dir=there):
            pass
    except OSError as error:
        return BAD, f"{folder} cannot be used: {error.strerror}: {there}"
    return GOOD, f"{folder} " + ("is writable" if there == folder else "can be made")
