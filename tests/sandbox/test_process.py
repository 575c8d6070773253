"""The process level as Lambda uses it: invoke, reuse, errors, crashes, limits, and what is left."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lambent.sandbox.box import BoxGone, Exited, InvalidEntrypointError, LaunchError
from lambent.sandbox.process_box import ProcessBox
from tests.sandbox.support import (
    OWN_PYTHON,
    ROOT,
    Bench,
    event,
    failure,
    needs_root,
    run,
    value,
    wait_gone,
)

PYTHONS = [f"python3.{minor}" for minor in range(8, 14)]


async def until_gone(box: ProcessBox) -> None:
    """Invoke until the environment is found to be gone."""
    while True:
        await value(box)


async def gone(box: object, payload: object = None) -> Exited:
    with pytest.raises(BoxGone) as caught:
        await box.invoke(event(payload))  # type: ignore[attr-defined]
    return caught.value.exited


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


def test_own_uid_no_capabilities_and_limits() -> None:
    async def work(bench: Bench) -> None:
        source = textwrap.dedent("""
            import os, resource
            def handler(e, c):
                status = dict(l.split(":\\t", 1) for l in open("/proc/self/status") if ":\\t" in l)
                fds = sorted(int(n) for n in os.listdir("/proc/self/fd"))
                return {"uids": os.getresuid(), "gids": os.getresgid(), "groups": os.getgroups(),
                        "caps": status["CapEff"].strip(), "permitted": status["CapPrm"].strip(),
                        "privs": status["NoNewPrivs"].strip(), "fds": fds,
                        "nofile": resource.getrlimit(resource.RLIMIT_NOFILE),
                        "core": resource.getrlimit(resource.RLIMIT_CORE),
                        "session": os.getsid(0) == os.getpid(), "umask": os.umask(0),
                        "null": os.stat(0).st_rdev == os.stat("/dev/null").st_rdev}
        """)
        boxes = [await bench.python(source) for _ in range(2)]
        found = [await value(box) for box in boxes]
        for one in found:
            assert isinstance(one, dict)
            assert one["privs"] == "1"
            assert one["fds"][:4] == [0, 1, 2, 3]
            assert len(one["fds"]) == 5  # and the folder that is being listed
            assert one["nofile"] == [1024, 1024]
            assert one["core"] == [0, 0]
            assert one["session"] is True
            assert one["null"] is True
            assert one["umask"] == 0o077
        if ROOT:
            uids = [one["uids"][0] for one in found]  # type: ignore[index]
            assert len(set(uids)) == 2
            assert 0 not in uids
            for one in found:
                assert isinstance(one, dict)
                assert len(set(one["uids"] + one["gids"])) == 1
                assert one["caps"] == one["permitted"] == "0" * 16
                assert len(one["groups"]) == 1

    run(work)


@needs_root
def test_other_folders_the_server_and_its_secrets_are_out_of_reach(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        secret = Path("/root/.lambent-test-secret")
        secret.write_text("s")
        victim = await bench.python(
            "def handler(e, c):\n    import os\n    return dict(os.environ)\n"
        )
        theirs = await value(victim)
        assert isinstance(theirs, dict)
        source = textwrap.dedent("""
            import os
            def handler(paths, c):
                result = {}
                for path in paths:
                    try:
                        read = os.listdir if os.path.isdir(path) else lambda p: open(p).read()
                        result[path] = read(path)
                    except OSError as error:
                        result[path] = error.errno
                try:
                    open(os.path.join(os.environ["LAMBDA_TASK_ROOT"], "new"), "w")
                except OSError as error:
                    result["write"] = error.errno
                for name, pid in (("server", os.getppid()), ("victim", VICTIM)):
                    try:
                        os.kill(pid, 9)
                    except OSError as error:
                        result[name] = error.errno
                return result
        """).replace("VICTIM", str(victim.pid))
        box = await bench.python(source)
        code, tmp = theirs["LAMBDA_TASK_ROOT"], theirs["TMPDIR"]
        paths = [
            "/root", str(secret), str(tmp_path), f"/proc/{os.getpid()}/environ", "/etc/shadow",
            code, f"{code}/m.py", tmp, os.path.dirname(code), os.path.dirname(tmp),
            f"/proc/{victim.pid}/environ", f"/proc/{victim.pid}/mem",
        ]  # fmt: skip
        found = await value(box, paths)
        secret.unlink()
        assert isinstance(found, dict)
        readable = {k: v for k, v in found.items() if not isinstance(v, int)}
        # /root is an empty cover that shows interpreters only, in the nursery's own mounts
        assert set(readable) <= {"/root"}
        assert readable.get("/root", [".pyenv"]) == [".pyenv"]
        assert found["write"] == 13
        assert found["server"] == found["victim"] == 1
        assert await value(victim)

    run(work)


def test_a_fork_bomb_is_bounded_and_cleaned_up() -> None:
    if not ROOT:
        pytest.skip("unprivileged, RLIMIT_NPROC would count the developer's own processes")

    async def work(bench: Bench) -> None:
        source = textwrap.dedent("""
            import os, time
            def handler(e, c):
                print(os.getuid(), flush=True)
                while True:
                    try:
                        os.fork()
                    except OSError:
                        print("full", flush=True)
                        time.sleep(100)
        """)
        box = await bench.python(source, memory_mib=10_000)
        invoking = asyncio.ensure_future(box.invoke(event()))
        await bench.until(lambda: b"full" in bench.output)
        uid = int(bench.output[0])
        await box.close()
        with pytest.raises(BoxGone):
            await invoking
        assert of_uid(uid) == []

    run(work)


def of_uid(uid: int) -> list[str]:
    """Living processes of a user (a zombie is dead)."""
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                state = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()[0]
                found += [name] if state not in "ZX" else []
        except OSError:
            continue
    return found


def test_a_daemon_that_left_its_session_goes_with_its_environment() -> None:
    async def work(bench: Bench) -> None:
        source = textwrap.dedent("""
            import os, signal, time
            def handler(e, c):
                reading, writing = os.pipe()
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        signal.signal(signal.SIGTERM, signal.SIG_IGN)
                        os.write(writing, str(os.getpid()).encode())
                        os.close(0); os.close(1); os.close(2)
                        while True: time.sleep(100)
                    os._exit(0)
                return int(os.read(reading, 20))
        """)
        box = await bench.python(source)
        daemon = await value(box)
        assert isinstance(daemon, int)
        os.kill(daemon, 0)
        await box.close()
        await asyncio.to_thread(wait_gone, daemon)

    run(work)


def test_a_fork_of_the_handler_that_returns_does_not_answer() -> None:
    async def work(bench: Bench) -> None:
        source = "import os\ndef handler(e, c):\n    os.fork()\n    return os.getpid()\n"
        box = await bench.python(source)
        for _ in range(5):
            assert await value(box) == box.pid

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


def test_a_nursery_that_dies_takes_its_environments_and_is_replaced() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.python("def handler(e, c):\n    return 1\n")
        assert isinstance(box, ProcessBox)
        assert box.nursery is not None
        os.kill(box.nursery.pid, 9)
        with pytest.raises(BoxGone):
            await until_gone(box)
        await asyncio.to_thread(wait_gone, box.pid)
        again = await bench.python("def handler(e, c):\n    return 2\n")
        assert await value(again) == 2

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


SERVER = """
import asyncio, os, signal, sys
from tests.sandbox.support import a_bench, event, has_node
async def main():
    async with a_bench() as bench:
        source = ("import os, time\\n"
                  "def handler(e, c):\\n"
                  "    if os.fork() == 0:\\n"
                  "        os.setsid()\\n"
                  "        time.sleep(1000)\\n"
                  "    return os.getpid()\\n")
        pids = []
        for name, runtime in (("m.py", None), ("m.js", "nodejs20.x")):
            if runtime and not has_node(bench.sandbox):
                continue
            text = source if runtime is None else "exports.handler = async () => 1"
            box = await bench.start({name: text}, **({"runtime": runtime} if runtime else {}))
            await box.invoke(event())
            pids += [box.pid, box.nursery.pid]
            children = open(f"/proc/{box.pid}/task/{box.pid}/children").read().split()
            pids += map(int, children)
        print(*pids, bench.sandbox.folders.root, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""


def test_kill_9_of_the_server_leaves_no_process_and_the_next_start_sweeps_its_folder() -> None:
    here = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", SERVER],
        cwd=here,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    *pids, folder = done.stdout.split()
    assert len(pids) >= 3, done.stderr
    for pid in pids:
        wait_gone(int(pid))

    async def work(bench: Bench) -> None:
        assert bench.sandbox.code_root.exists()
        await bench.sandbox.tasks.join()
        assert not Path(folder).exists()

    run(work)
