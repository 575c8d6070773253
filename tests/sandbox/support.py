"""Sandboxes, code folders and real runtimes for the tests of this folder."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from lambent.sandbox.box import Answer, Box, Invocation, Spec, Tmp
from lambent.sandbox.namespace import NamespaceSandbox
from lambent.sandbox.process import ProcessSandbox

AnySandbox = ProcessSandbox | NamespaceSandbox
LEVELS: dict[str, type[AnySandbox]] = {"process": ProcessSandbox, "namespace": NamespaceSandbox}
current_level = "process"
"""What `a_bench` makes; set by conftest.py."""
ROOT = os.getuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="needs root: environments get a uid of their own")
CACHE = Path(__file__).parents[2] / "build" / "cache"
OWN_PYTHON = "python{}.{}".format(*sys.version_info[:2])
LIMIT_S = 30.0
ENVIRONMENT = {
    "LAMBDA_TASK_ROOT": "/var/task",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin",
    "LANG": "en_US.UTF-8",
    "TZ": ":UTC",
    "AWS_LAMBDA_FUNCTION_NAME": "fn",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/fn",
    "AWS_LAMBDA_LOG_STREAM_NAME": "2026/11/21/[$LATEST]00000000000000000000000000000000",
}


def has_node(sandbox: AnySandbox) -> bool:
    return any(i.language == "nodejs" for i in sandbox.runtimes.interpreters())


class Bench:
    """A sandbox with code in it, and the output of what ran."""

    def __init__(self, sandbox: AnySandbox) -> None:
        self.sandbox = sandbox
        self.output: list[bytes] = []
        self._arrived: asyncio.Event | None = None
        self._count = 0

    def code(self, files: Mapping[str, str], mode: int = 0o755) -> Path:
        self._count += 1
        folder = self.sandbox.code_root / f"code-{self._count}"
        for name, text in files.items():
            file = folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(mode)
        for path, _, _ in os.walk(folder):
            os.chmod(path, 0o755)
        return folder

    def code_with(self, package: Path, files: Mapping[str, str]) -> Path:
        """Code that has a copy of an installed package in its folder `client`."""
        code = self.code(files)
        shutil.copytree(package, code / "client", symlinks=True)
        return code

    async def launch(
        self,
        code: Path,
        *,
        handler: str = "m.handler",
        runtime: str = OWN_PYTHON,
        environment: Mapping[str, str] | None = None,
        memory_mib: int = 256,
        tmp_mib: int = 512,
        layers: Path | None = None,
        tmp: Tmp | None = None,
    ) -> Box:
        self._count += 1
        spec = Spec(
            id=f"test-{self._count}",
            runtime=runtime,
            handler=handler,
            task_root=code,
            layers_root=layers,
            environment={
                **ENVIRONMENT,
                "_HANDLER": handler,
                "AWS_EXECUTION_ENV": f"AWS_Lambda_{runtime}",
                **(environment or {}),
            },
            memory_mib=memory_mib,
            tmp_mib=tmp_mib,
            init_timeout_s=10,
            on_output=self.hear,
            tmp=tmp,
        )
        return await self.sandbox.launch(spec)

    async def start(self, files: Mapping[str, str], **options: object) -> Box:
        """Launch and wait until it is ready."""
        box = await self.launch(self.code(files), **options)  # type: ignore[arg-type]
        failed = await box.ready()
        assert failed is None, failed
        return box

    async def python(self, source: str, **options: object) -> Box:
        return await self.start({"m.py": source}, **options)

    async def node(self, source: str, **options: object) -> Box:
        if not has_node(self.sandbox):
            pytest.skip("no Node.js on this machine")
        return await self.start({"m.js": source}, runtime="nodejs20.x", **options)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until output makes `condition` true."""
        arrived = asyncio.Event()
        self._arrived = arrived
        while not condition():
            arrived.clear()
            await arrived.wait()

    def hear(self, line: bytes) -> None:
        self.output.append(line)
        if self._arrived is not None:
            self._arrived.set()

    def text(self) -> str:
        return b"\n".join(self.output).decode()


def event(payload: object = None, **fields: object) -> Invocation:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    values: dict[str, object] = {
        "request_id": "8a2d6c5e-0000-4000-8000-000000000001",
        "payload": raw,
        "deadline_ms": int(time.time() * 1000) + 30_000,
        "function_arn": "arn:aws:lambda:us-east-1:000000000000:function:fn",
    }
    return Invocation(**{**values, **fields})  # type: ignore[arg-type]


async def value(box: Box, payload: object = None) -> object:
    """Invoke and decode a result that must not be an error."""
    answer = await box.invoke(event(payload))
    assert not answer.error_type, answer
    return json.loads(answer.payload)


async def failure(box: Box, payload: object = None) -> dict[str, object]:
    """Invoke and decode an error."""
    answer: Answer = await box.invoke(event(payload))
    assert answer.error_type, answer
    error: dict[str, object] = json.loads(answer.payload)
    assert error["errorType"] == answer.error_type
    return error


@asynccontextmanager
async def a_bench(folder: Path | None = None) -> AsyncIterator[Bench]:
    sandbox = LEVELS[current_level](
        home=Path(os.environ.get("HOME", "/root")),
        search_path=os.environ.get("PATH", ""),
        folder=folder,
    )
    try:
        yield Bench(sandbox)
    finally:
        await sandbox.close()


def run(work: Callable[[Bench], Awaitable[None]], limit_s: float = LIMIT_S) -> None:
    """Run a test's coroutine with a fresh sandbox on uvloop, with an upper bound on its time."""

    async def bounded() -> None:
        async with asyncio.timeout(limit_s), a_bench() as bench:
            await work(bench)

    uvloop.run(bounded())


def wait_gone(pid: int) -> None:
    """Wait, bounded, until a process that is not our child is gone (or a zombie of another)."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        poll = select.poll()
        poll.register(fd, select.POLLIN)
        assert poll.poll(10_000), f"process {pid} is still there"
    finally:
        os.close(fd)


def pip_installed(package: str) -> Path:
    """A PyPI package in the cache folder; skips the test when the registry is out of reach."""
    folder = CACHE / f"{package}-py{sys.version_info[0]}{sys.version_info[1]}"
    if not (folder / package).is_dir():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--target",
            str(folder),
            package,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{package} cannot be installed here: {done.stderr.strip()[-300:]}")
    return folder


def npm_installed(package: str, proof: str) -> Path:
    """An npm package in the cache folder (compiling it if it wants to), or skip with the reason."""
    folder = CACHE / package
    if not (folder / "node_modules" / package / proof).exists():
        folder.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--no-audit", "--no-fund", package]
        try:
            done = subprocess.run(
                command, cwd=folder, check=False, capture_output=True, text=True, timeout=600
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            pytest.skip(f"{package} cannot be installed here: {error}")
        if done.returncode or not (folder / "node_modules" / package / proof).exists():
            pytest.skip(f"{package} cannot be built here: {done.stderr.strip()[-300:]}")
    return folder / "node_modules"


CLIENT = json.dumps(
    {"custom": {"k": "v"}, "client": {"app_title": "t"}, "w3c": {"traceparent": "tp", "x": 1}}
)


def normal(lines: list[bytes], code: Path) -> list[str]:
    """Output without what may differ: times, folders, how several lines were joined."""
    text = b"\n".join(lines).decode().replace("\r", "\n").replace(str(code), "/var/task")
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{3})?Z", "TIME", text)
    return [line for line in text.split("\n") if line]
