"""The process level as Lambda uses it: what is launched, with what, and what it leaves behind."""

import asyncio
import os
import textwrap
from pathlib import Path

import pytest

from lambent.sandbox.box import BoxGone, InvalidEntrypointError, LaunchError
from lambent.sandbox.process_box import ProcessBox
from tests.sandbox.support import (
    OWN_PYTHON,
    ROOT,
    Bench,
    event,
    run,
    value,
)

PYTHONS = [f"python3.{minor}" for minor in range(8, 14)]


@pytest.mark.parametrize("runtime", PYTHONS)
def test_every_python_of_this_machine_answers(runtime: str) -> None:
    async def work(bench: Bench) -> None:
        found = bench.sandbox.resolve(runtime)
        if found.note:
            pytest.skip(found.note)
        source = "import sys, sqlite3\ndef handler(e, c):\n    return [*sys.version_info[:2], e]\n"
        box = await bench.python(source, runtime=runtime)
        minor = int(runtime.partition(".")[2])
        assert await value(box, {"a": 1}) == [3, minor, {"a": 1}]

    run(work)


def test_exactly_the_given_environment_and_a_private_tmp() -> None:
    async def work(bench: Bench) -> None:
        source = textwrap.dedent("""
            import os, tempfile
            def handler(e, c):
                fd, name = tempfile.mkstemp()
                return {"env": dict(os.environ), "cwd": os.getcwd(), "file": __file__,
                        "tmp": name, "mode": oct(os.stat(name).st_mode & 0o777)}
        """)
        box = await bench.python(source, environment={"MINE": "1"})
        got = await value(box)
        assert isinstance(got, dict)
        env = got["env"]
        assert env["MINE"] == "1"
        assert env["LAMBDA_TASK_ROOT"] == got["cwd"] == os.path.dirname(got["file"])
        assert got["tmp"].startswith(env["TMPDIR"])
        assert got["mode"] == "0o600"
        assert not set(env) & {"HOME", "USER", "AWS_LAMBDA_RUNTIME_API", "PYTEST_CURRENT_TEST"}
        tmp = Path(env["TMPDIR"])
        assert tmp.is_dir()
        await box.close()
        assert not tmp.exists()

    run(work)


def test_handlers_in_folders_layers_and_pythonpath() -> None:
    async def work(bench: Bench) -> None:
        version = OWN_PYTHON
        layers = bench.code({
            "python/from_layer.py": "A = 1\n",
            f"python/lib/{version}/site-packages/from_site.py": "B = 2\n",
            "more/from_path.py": "C = 3\n",
        })  # fmt: skip
        source = "import from_layer, from_site, from_path\n"
        source += "def handler(e, c):\n    return [from_layer.A, from_site.B, from_path.C]\n"
        files = {"pkg/sub/mod.py": source}
        for handler in ("pkg/sub/mod.handler", "pkg.sub.mod.handler"):
            box = await bench.launch(
                bench.code(files),
                handler=handler,
                layers=layers,
                environment={"PYTHONPATH": "/opt/more"},
            )
            assert await box.ready() is None
            assert await value(box) == [1, 2, 3]

    run(work)


def test_provided_runtime_without_a_bootstrap() -> None:
    async def work(bench: Bench) -> None:
        text = r"Couldn't find valid bootstrap\(s\): \[/var/task/bootstrap /opt/bootstrap\]"
        with pytest.raises(InvalidEntrypointError, match=text):
            await bench.launch(bench.code({"x": ""}), runtime="provided.al2023")
        code = bench.code({"bootstrap": "#!/bin/sh\n"}, mode=0o644)
        with pytest.raises(InvalidEntrypointError, match=text):
            await bench.launch(code, runtime="provided.al2023")

    run(work)


def test_a_bootstrap_that_cannot_be_executed_is_an_init_error() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.launch(bench.code({"bootstrap": "no program"}), runtime="provided.al2")
        failed = await box.ready()
        assert failed is not None
        assert failed.error_type == "Runtime.InvalidEntrypoint"
        assert b"exec format error" in failed.payload

    run(work)


SHELL = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  event=$(curl -sS -D "$TMPDIR/head" "$api/next")
  id=$(grep -i aws-request-id "$TMPDIR/head" | tr -d '\\r' | cut -d' ' -f2)
  echo "working on $id"
  curl -sS -o /dev/null -d "{\\"got\\":$event}" "$api/$id/response"
done
"""


def test_a_shell_script_as_bootstrap_from_a_layer() -> None:
    if not Path("/usr/bin/curl").exists():
        pytest.skip("no curl on this machine")

    async def work(bench: Bench) -> None:
        layers = bench.code({"bootstrap": SHELL})
        box = await bench.launch(bench.code({"x": ""}), runtime="provided.al2023", layers=layers)
        assert await box.ready() is None
        for n in range(3):
            await box.idle()
            assert await value(box, n) == {"got": n}
        assert bench.output == [f"working on {event().request_id}".encode()] * 3
        assert box.memory_used_mib() > 0

    run(work)


def test_a_bootstrap_that_exits_is_reported() -> None:
    async def work(bench: Bench) -> None:
        code = bench.code({"bootstrap": "#!/bin/sh\necho out; echo err >&2; exit 9\n"})
        box = await bench.launch(code, runtime="provided.al2023")
        with pytest.raises(BoxGone, match="exit status 9"):
            await box.ready()
        assert bench.output == [b"out", b"err"]

    run(work)


def test_launch_errors_name_their_reason(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        code = bench.code({"m.py": ""})
        with pytest.raises(LaunchError, match="java21"):
            await bench.launch(code, runtime="java21")
        with pytest.raises(LaunchError, match="not a folder"):
            await bench.launch(tmp_path / "absent")
        if ROOT:
            closed = tmp_path / "closed" / "code"
            closed.mkdir(parents=True)
            closed.parent.chmod(0o700)
            with pytest.raises(LaunchError, match="unpack code below"):
                await bench.launch(closed)

    run(work)


def test_two_hundred_environments_leave_nothing() -> None:
    async def work(bench: Bench) -> None:
        code = bench.code({"m.py": "def handler(e, c):\n    print(e)\n    return e\n"})

        async def one(n: int) -> int:
            box = await bench.launch(code)
            assert await box.ready() is None
            assert await value(box, n) == n
            await box.close()
            return box.pid

        await one(-1)  # starts the nursery
        before = set(os.listdir("/proc/self/fd"))
        pids = []
        for start in range(0, 200, 20):
            pids += await asyncio.gather(*(one(n) for n in range(start, start + 20)))
        assert len(set(os.listdir("/proc/self/fd"))) == len(before)
        assert list(bench.sandbox.folders.env.iterdir()) == []
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
        assert len(bench.sandbox.tasks) == 0
        if bench.sandbox.identities:
            assert bench.sandbox.identities._taken == set()
        folder = bench.sandbox.folders.root
        await bench.sandbox.close()
        assert not folder.exists()
        with pytest.raises(LaunchError, match="closed"):
            await bench.launch(code)

    run(work)


def test_a_launch_that_is_given_up_leaves_nothing() -> None:
    async def work(bench: Bench) -> None:
        code = bench.code({"m.py": "def handler(e, c):\n    return e\n"})
        first = await bench.launch(code)
        assert await first.ready() is None
        for _ in range(5):
            launching = asyncio.ensure_future(bench.launch(code))
            await asyncio.sleep(0)
            launching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await launching
        assert isinstance(first, ProcessBox)
        assert first.nursery is not None
        children = Path(f"/proc/{first.nursery.pid}/task/{first.nursery.pid}/children")
        assert children.read_text().split() == [str(first.pid)]
        assert len(list(bench.sandbox.folders.env.iterdir())) == 1

    run(work)
