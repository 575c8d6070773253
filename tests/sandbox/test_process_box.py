"""One environment: invoked, reused, crashed, killed, flooded."""

import asyncio
import json
import textwrap

import pytest

from lambent.sandbox.box import BoxGone, Exited
from tests.sandbox.support import (
    Bench,
    event,
    failure,
    run,
    value,
)


async def gone(box: object, payload: object = None) -> Exited:
    with pytest.raises(BoxGone) as caught:
        await box.invoke(event(payload))  # type: ignore[attr-defined]
    return caught.value.exited


def test_an_environment_is_reused_and_keeps_its_state() -> None:
    async def work(bench: Bench) -> None:
        source = "n = 0\ndef handler(e, c):\n    global n\n    n += 1\n    return n\n"
        box = await bench.python(source)
        assert [await value(box) for _ in range(3)] == [1, 2, 3]
        await box.idle()
        assert box.memory_used_mib() > 0
        first = await box.close()
        assert await box.close() == first == Exited(None, 9)
        with pytest.raises(BoxGone):
            await box.invoke(event())
        with pytest.raises(BoxGone):
            await box.idle()

    run(work)


def test_output_comes_whole_and_before_the_answer() -> None:
    async def work(bench: Bench) -> None:
        source = textwrap.dedent("""
            import sys, os, subprocess
            print("at import")
            def handler(e, c):
                for n in range(e):
                    print("line", n)
                os.write(2, b"raw\\n")
                subprocess.run(["echo", "from a child"])
                print("unfinished", end="")
        """)
        box = await bench.python(source)
        assert bench.output == [b"at import"]
        bench.output.clear()
        await value(box, 3_000)
        assert bench.output[:3_000] == [b"line %d" % n for n in range(3_000)]
        assert bench.output[3_000:] == [b"raw", b"from a child", b"unfinished"]

    run(work)


def test_six_megabytes_both_ways_and_one_byte_too_many() -> None:
    async def work(bench: Bench) -> None:
        source = "def handler(e, c):\n    return e if isinstance(e, str) else b'x' * e\n"
        box = await bench.python(source, memory_mib=1024)
        text = "y" * 6_291_454
        assert await value(box, text) == text
        answer = await box.invoke(event(6_291_556))
        assert (len(answer.payload), answer.content_type) == (6_291_556, "application/unknown")
        error = await failure(box, 6_291_557)
        assert error == {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size"
            " (6291556 bytes).",
        }
        assert await value(box, "still here") == "still here"

    run(work)


EXITS = {
    "sys.exit(3)": Exited(3),
    "sys.exit()": Exited(0),
    "sys.exit('why')": Exited(1),
    "os._exit(4)": Exited(4),
    "raise KeyboardInterrupt": Exited(1),
    "os.kill(os.getpid(), 11)": Exited(None, 11),
    "os.abort()": Exited(None, 6),
    "exit(5)": Exited(5),
}


@pytest.mark.parametrize("statement", EXITS)
def test_a_process_that_ends_is_reported_as_what_it_did(statement: str) -> None:
    async def work(bench: Bench) -> None:
        source = f"import os, sys\ndef handler(e, c):\n    print('last words')\n    {statement}\n"
        box = await bench.python(source)
        assert await gone(box) == EXITS[statement]
        assert b"last words" in bench.output
        assert await box.close() == EXITS[statement]

    run(work)


def test_exiting_at_import_and_before_init_error() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.launch(bench.code({"m.py": "import sys\nsys.exit(7)\n"}))
        with pytest.raises(BoxGone, match="exit status 7"):
            await box.ready()
        box = await bench.launch(bench.code({"m.py": "1 / 0\n"}))
        failed = await box.ready()
        assert failed is not None
        assert failed.error_type == "ZeroDivisionError"
        assert json.loads(failed.payload)["requestId"] == ""

    run(work)


@pytest.mark.parametrize("loop", ["while True: pass", "import time; time.sleep(1000)"])
def test_a_busy_environment_can_be_killed(loop: str) -> None:
    async def work(bench: Bench) -> None:
        box = await bench.python(f"def handler(e, c):\n    print('on', flush=True)\n    {loop}\n")
        invoking = asyncio.ensure_future(box.invoke(event()))
        await bench.until(lambda: bool(bench.output))
        assert await box.close() == Exited(None, 9)
        with pytest.raises(BoxGone, match="signal: killed"):
            await invoking

    run(work)


def test_sigterm_comes_first_where_there_is_grace() -> None:
    async def work(bench: Bench) -> None:
        source = textwrap.dedent("""
            import signal, sys
            signal.signal(signal.SIGTERM, lambda *a: (print("bye", flush=True), sys.exit(0)))
            def handler(e, c): return 1
        """)
        box = await bench.python(source)
        assert await box.close(grace_s=20) == Exited(0)
        assert bench.output == [b"bye"]

    run(work)


def test_too_much_memory_is_a_kill_that_says_so() -> None:
    async def work(bench: Bench) -> None:
        source = (
            "def handler(e, c):\n    a = []\n    while True:\n        a.append(b'x' * 1000000)\n"
        )
        box = await bench.python(source, memory_mib=64)
        assert await gone(box) == Exited(None, 9, out_of_memory=True)
        assert box.memory_used_mib() >= 64

    run(work)


def test_memory_of_children_counts() -> None:
    async def work(bench: Bench) -> None:
        hog = "import time; a = b'x' * 100_000_000; time.sleep(100)"
        source = "import subprocess, sys\ndef handler(e, c):\n"
        source += f"    subprocess.run([sys.executable, '-c', {hog!r}])\n"
        box = await bench.python(source, memory_mib=64)
        assert (await gone(box)).out_of_memory

    run(work)


def test_endless_output_is_held_back_and_killed() -> None:
    async def flood(bench: Bench) -> None:
        box = await bench.launch(
            bench.code({"m.py": "def handler(e, c):\n    while True:\n        print('x' * 1000)\n"})
        )
        assert await box.ready() is None
        invoking = asyncio.ensure_future(box.invoke(event()))
        await bench.until(lambda: len(bench.output) > 6_000)  # past the burst that is let through
        other = await bench.python("def handler(e, c):\n    return 'fine'\n")
        assert await value(other) == "fine"
        await box.close()
        with pytest.raises(BoxGone):
            await invoking

    run(flood)


def test_a_fork_of_the_handler_that_returns_does_not_answer() -> None:
    async def work(bench: Bench) -> None:
        source = "import os\ndef handler(e, c):\n    os.fork()\n    return os.getpid()\n"
        box = await bench.python(source)
        assert len({await value(box) for _ in range(5)}) == 1

    run(work)


def test_closing_the_channel_ends_the_environment() -> None:
    async def work(bench: Bench) -> None:
        source = (
            "import os, time\ndef handler(e, c):\n    os.closerange(3, 50)\n    time.sleep(100)\n"
        )
        box = await bench.python(source)
        assert await gone(box) == Exited(None, 9)

    run(work)


@pytest.mark.parametrize("junk", [b"\xff" * 100, b"\x13\x00\x00\x00\x00\x00\x00\x00\0\0\0\x09" * 3])
def test_junk_on_the_channel_harms_nobody(junk: bytes) -> None:
    async def work(bench: Bench) -> None:
        source = f"import os\ndef handler(e, c):\n    os.write(3, {junk!r})\n    return 'ok'\n"
        box = await bench.python(source)
        if junk[0] == 0xFF:
            await gone(box)
        else:
            assert await value(box) == "ok"
        other = await bench.python("def handler(e, c):\n    return 1\n")
        assert await value(other) == 1

    run(work)
