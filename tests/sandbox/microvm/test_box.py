"""One microVM: invoked, reused, crashed, killed, flooded."""

import asyncio
import json
import textwrap

import pytest

from lambent.sandbox.box import BoxGone, Exited
from tests.sandbox.microvm.support import MicrovmBench
from tests.sandbox.support import event, failure, value


async def gone(box: object, payload: object = None) -> Exited:
    with pytest.raises(BoxGone) as caught:
        await box.invoke(event(payload))  # type: ignore[attr-defined]
    return caught.value.exited


def test_an_environment_is_reused_and_keeps_its_state(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = "n = 0\ndef handler(e, c):\n    global n\n    n += 1\n    return n\n"
        box = await bench.python(source)
        assert [await value(box) for _ in range(3)] == [1, 2, 3]
        await box.idle()
        assert 0 < box.memory_used_mib() < 128
        first = await box.close()
        assert await box.close() == first == Exited(None, 9)
        with pytest.raises(BoxGone):
            await box.invoke(event())

    bench.run(work)


def test_errors_and_output_before_the_answer(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = textwrap.dedent("""
            import os, subprocess
            print("at import")
            def handler(e, c):
                if e is None:
                    raise ValueError("no event")
                for n in range(e):
                    print("line", n)
                os.write(2, b"raw\\n")
                subprocess.run(["echo", "from a child"])
                print("unfinished", end="")
        """)
        box = await bench.python(source)
        assert bench.output == [b"at import"]
        error = await failure(box)
        assert error["errorType"] == "ValueError"
        assert error["errorMessage"] == "no event"
        bench.output.clear()
        await value(box, 300)
        assert bench.output[:300] == [b"line %d" % n for n in range(300)]
        assert bench.output[300:] == [b"raw", b"from a child", b"unfinished"]
        box = await bench.launch(bench.code({"m.py": "1 / 0\n"}))
        failed = await box.ready()
        assert failed is not None
        assert failed.error_type == "ZeroDivisionError"

    bench.run(work)


def test_six_megabytes_both_ways_and_one_byte_too_many(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = "def handler(e, c):\n    return e if isinstance(e, str) else b'x' * e\n"
        box = await bench.python(source)
        text = "y" * 6_291_454
        assert await value(box, text) == text
        error = await failure(box, 6_291_557)
        assert error["errorType"] == "Function.ResponseSizeTooLarge"
        assert await value(box, "still here") == "still here"

    bench.run(work)


EXITS = {
    "sys.exit(3)": Exited(3),
    "os._exit(4)": Exited(4),
    "os.kill(os.getpid(), 11)": Exited(None, 11),
}


def test_a_process_that_ends_is_reported_as_what_it_did(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = "import os, sys\ndef handler(e, c):\n    print('last words')\n    exec(e)\n"
        for statement, expected in EXITS.items():
            bench.output.clear()
            box = await bench.python(source)
            assert await gone(box, statement) == expected
            assert b"last words" in bench.output
            assert await box.close() == expected

    bench.run(work)


def test_too_much_memory_is_a_kill_that_says_so(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = (
            "def handler(e, c):\n    a = []\n    while True:\n        a.append(b'x' * 1000000)\n"
        )
        box = await bench.python(source, memory_mib=128)
        assert await gone(box) == Exited(None, 9, out_of_memory=True)
        assert box.memory_used_mib() >= 126

    bench.run(work)


def test_a_busy_environment_can_be_killed(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = "def handler(e, c):\n    print('on')\n    while True: pass\n"
        box = await bench.python(source)
        invoking = asyncio.ensure_future(box.invoke(event()))
        await bench.until(lambda: bool(bench.output))
        assert await box.close() == Exited(None, 9)
        with pytest.raises(BoxGone, match="signal: killed"):
            await invoking

    bench.run(work)


def test_sigterm_comes_first_where_there_is_grace(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = textwrap.dedent("""
            import signal, sys
            signal.signal(signal.SIGTERM, lambda *a: (print("bye", flush=True), sys.exit(0)))
            def handler(e, c): return 1
        """)
        box = await bench.python(source)
        assert await box.close(grace_s=20) == Exited(0)
        assert bench.output == [b"bye"]

    bench.run(work)


def test_endless_output_is_held_back_and_killed(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        box = await bench.python("def handler(e, c):\n    while True:\n        print('x' * 5000)\n")
        invoking = asyncio.ensure_future(box.invoke(event()))
        await bench.until(lambda: len(bench.output) > 1_000)
        await box.close()
        with pytest.raises(BoxGone):
            await invoking

    bench.run(work)


def test_a_thousand_threads_and_no_more(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = textwrap.dedent("""
            import threading
            def handler(e, c):
                end, count = threading.Event(), 0
                threading.stack_size(65536)
                try:
                    while True:
                        threading.Thread(target=end.wait).start()
                        count += 1
                except RuntimeError:
                    end.set()
                    return count
        """)
        box = await bench.python(source, memory_mib=256)
        count = await value(box)
        assert isinstance(count, int)
        assert 900 < count < 1024

    bench.run(work)


def test_what_a_hostile_root_might_send_ends_only_its_machine(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        box = await bench.python("def handler(e, c):\n    return 1\n")
        other = await bench.python("def handler(e, c):\n    return 2\n")
        link = box._link  # type: ignore[attr-defined]
        link._inbound += b"\xff" * 8  # as if it came from the guest
        assert await gone(box) == Exited(None, 9)
        assert json.loads((await other.invoke(event())).payload) == 2

    bench.run(work)
