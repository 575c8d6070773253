"""What outlives a reset: the files in /tmp, and nothing else."""

import textwrap

import pytest

from lambent.sandbox.box import BoxGone
from tests.sandbox.support import Bench, event, run, value

SOURCE = textwrap.dedent("""
    import os, tempfile
    runs = []
    def handler(e, c):
        runs.append(e)
        folder = os.environ.get("TMPDIR", "/tmp")
        if e == "crash":
            os.makedirs(folder + "/deep/er", exist_ok=True)
            with open(folder + "/deep/er/kept", "w") as file:
                file.write("by the one before")
            os._exit(1)
        with open(folder + "/deep/er/kept") as file:
            text = file.read()
        with open(folder + "/deep/er/kept", "a") as file:
            file.write("+")
        return [text, runs, len([p for p in os.listdir("/proc") if p.isdigit()])]
""")


def test_tmp_is_kept_when_it_is_passed_on() -> None:
    async def work(bench: Bench) -> None:
        code = bench.code({"m.py": SOURCE})
        box = await bench.launch(code, tmp_mib=100)
        assert await box.ready() is None
        with pytest.raises(BoxGone, match="exit status 1"):
            await box.invoke(event("crash"))
        text = "by the one before"
        for _ in range(3):
            tmp = box.keep_tmp()
            assert tmp is not None
            await box.close()
            box = await bench.launch(code, tmp_mib=100, tmp=tmp)
            assert await box.ready() is None
            found = await value(box, "look")
            assert found[:2] == [text, ["look"]]  # type: ignore[index]
            text += "+"
        left = box.keep_tmp()
        await box.close()
        assert left is not None
        left.discard()
        left.discard()

    run(work)


def test_without_that_it_is_gone() -> None:
    async def work(bench: Bench) -> None:
        code = bench.code({"m.py": SOURCE})
        for _ in range(2):
            box = await bench.launch(code)
            assert await box.ready() is None
            answer = await box.invoke(event("look"))
            assert answer.error_type == "FileNotFoundError"
            with pytest.raises(BoxGone):
                await box.invoke(event("crash"))
            await box.close()

    run(work)
