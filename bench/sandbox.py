"""Cold starts, warm invocations and density of a forking sandbox, without HTTP in front of it.

    .venv/bin/python -m bench.sandbox [rounds] [process|namespace]

Prints medians and p99; "server CPU" is this process's own per invocation. Starts are spaced, as
back-to-back ones hide waits in the kernel.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import uvloop

from lambent.sandbox.box import Box, Invocation, Spec
from lambent.sandbox.namespace import NamespaceSandbox
from lambent.sandbox.process import ProcessSandbox

SOURCES = {
    "m.py": "def handler(event, context):\n    return event\n",
    "m.js": "exports.handler = async (event) => event;\n",
}
SPACING_S = 0.25
IDLE_BOXES = 50


def quantiles(seconds: list[float]) -> str:
    ordered = sorted(seconds)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    return f"p50 {p50 * 1e3:8.3f} ms   p99 {p99 * 1e3:8.3f} ms"


async def cold(launch: Callable[[], Awaitable[Box]], rounds: int) -> None:
    launched, ready, closed = [], [], []
    for _ in range(rounds):
        await asyncio.sleep(SPACING_S)
        start = time.perf_counter()
        box = await launch()
        launched.append(time.perf_counter() - start)
        assert await box.ready() is None
        ready.append(time.perf_counter() - start)
        start = time.perf_counter()
        await box.close()
        closed.append(time.perf_counter() - start)
    for name, times in (("launched", launched), ("ready", ready), ("closed", closed)):
        print(f"    {name:<10}{quantiles(times)}")


async def warm(box: Box, rounds: int) -> None:
    assert await box.ready() is None
    payload = json.dumps({"key": "x" * 100}).encode()
    event = Invocation(
        request_id="8a2d6c5e-0000-4000-8000-000000000001", payload=payload,
        deadline_ms=int(time.time() * 1000) + 30_000, function_arn="arn:aws:lambda:r:a:function:f",
    )  # fmt: skip
    for _ in range(200):
        await box.invoke(event)
    times, cpu_s = [], time.process_time()
    for _ in range(rounds):
        start = time.perf_counter()
        await box.invoke(event)
        times.append(time.perf_counter() - start)
    cpu_us = (time.process_time() - cpu_s) / rounds * 1e6
    print(f"    warm      {quantiles(times)}   server CPU {cpu_us:.0f} us")


async def concurrent(boxes: list[Box], rounds: int) -> None:
    event = Invocation(request_id="r", payload=b"{}", deadline_ms=1 << 42, function_arn="arn")
    for box in boxes:
        await box.ready()

    async def loop(box: Box) -> None:
        for _ in range(rounds):
            await box.invoke(event)

    start, cpu_s = time.perf_counter(), time.process_time()
    await asyncio.gather(*(loop(box) for box in boxes))
    count = rounds * len(boxes)
    taken, cpu_us = time.perf_counter() - start, (time.process_time() - cpu_s) / count * 1e6
    print(
        f"    {len(boxes)} at once: {count / taken:.0f} invocations/s, server CPU {cpu_us:.0f} us"
    )


def private_mib(pids: set[int]) -> float:
    """Proportional set size of some processes."""
    total_kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total_kib += int(line.split()[1])
    return total_kib / 1024


def family(pid: int) -> set[int]:
    """A process and all its descendants."""
    found = {pid}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found |= family(int(child))
    return found


async def density(launch: Callable[[], Awaitable[Box]]) -> None:
    before_mib = private_mib(family(os.getpid()))
    boxes = [await launch() for _ in range(IDLE_BOXES)]
    for box in boxes:
        assert await box.ready() is None
    each_mib = (private_mib(family(os.getpid())) - before_mib) / IDLE_BOXES
    print(f"    idle      {each_mib:.2f} MiB each, {1024 / each_mib:.0f} per GiB")
    for box in boxes:
        await box.close()


async def main(rounds: int, level: str) -> None:
    kind = {"process": ProcessSandbox, "namespace": NamespaceSandbox}[level]
    sandbox = kind(home=Path.home(), search_path=os.environ.get("PATH", ""))
    code = sandbox.code_root / "bench"
    code.mkdir()
    for name, text in SOURCES.items():
        (code / name).write_text(text)
        (code / name).chmod(0o644)
    seen: set[str] = set()
    for found in sandbox.runtimes.interpreters():
        version = found.version
        runtime = (
            f"nodejs{version[0]}.x"
            if found.language == "nodejs"
            else "python{}.{}".format(*version[:2])
        )
        if runtime in seen or (found.language == "python" and version < (3, 10)):
            continue
        seen.add(runtime)

        async def launch(runtime: str = runtime) -> Box:
            return await sandbox.launch(Spec(
                id="bench", runtime=runtime, handler="m.handler", task_root=code, layers_root=None,
                environment={"LAMBDA_TASK_ROOT": "/var/task", "_HANDLER": "m.handler"},
                memory_mib=128, tmp_mib=512, init_timeout_s=10, on_output=[].append,
            ))  # fmt: skip

        print(runtime, found.path)
        start = time.perf_counter()
        box = await launch()
        blocked_s = time.perf_counter() - start
        await box.ready()
        first_s = time.perf_counter() - start
        print(f"    first     {first_s * 1e3:.1f} ms, of which launch {blocked_s * 1e3:.1f}")
        await warm(box, rounds * 50)
        await box.close()
        await cold(launch, rounds)
        await concurrent([await launch() for _ in range(8)], rounds * 5)
        await density(launch)
    await sandbox.close()


if __name__ == "__main__":
    arguments = dict(enumerate(sys.argv[1:]))
    uvloop.run(main(int(arguments.get(0, 40)), arguments.get(1, "namespace")))
