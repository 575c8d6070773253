"""What an environment can reach, and what remains of it: nothing."""

import asyncio
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lambent.sandbox.box import BoxGone
from lambent.sandbox.process_box import ProcessBox
from tests.sandbox.support import (
    ROOT,
    Bench,
    event,
    needs_root,
    run,
    value,
    wait_gone,
)


async def until_gone(box: ProcessBox) -> None:
    """Invoke until the environment is found to be gone."""
    while True:
        await value(box)


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
    here = Path(__file__).parents[3]
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


UNPRIVILEGED = """
import asyncio, json, os, sys
from tests.sandbox.support import a_bench, event, value
async def main():
    async with a_bench() as bench:
        box = await bench.python(
            "import os, time\\n"
            "def handler(e, c):\\n"
            "    if os.fork() == 0:\\n"
            "        os.setsid()\\n"
            "        if os.fork() == 0:\\n"
            "            time.sleep(1000)\\n"
            "        os._exit(0)\\n"
            "    os.wait()\\n"
            "    status = open('/proc/self/status').read()\\n"
            "    return [os.getuid(), 'NoNewPrivs:\\\\t1' in status, dict(os.environ)]\\n")
        uid, privs, environment = await value(box)
        assert uid == os.getuid() and privs, (uid, privs)
        assert "PYTHONPATH" not in environment
        children = f"/proc/{box.nursery.pid}/task/{box.nursery.pid}/children"
        before = open(children).read().split()
        await box.close()
        print(json.dumps([box.pid, box.nursery.pid, *map(int, before)]))
        tmp = list(bench.sandbox.folders.env.iterdir())
        assert tmp == [], tmp
asyncio.run(main())
"""


@needs_root
def test_an_unprivileged_server_works_and_cleans_up_too() -> None:
    here = Path(__file__).parents[3]
    python = "/usr/bin/python3.11"
    packages = here / ".venv" / "lib" / "python3.11" / "site-packages"
    if not os.access(python, os.X_OK) or not packages.is_dir():
        pytest.skip("needs a system-wide Python 3.11 beside an environment of 3.11")
    done = subprocess.run(
        [python, "-c", UNPRIVILEGED],
        cwd=here,
        env={"PYTHONPATH": f"{here}:{here}/src:{packages}", "PATH": "/usr/bin", "HOME": "/nowhere"},
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for pid in json.loads(done.stdout):
        wait_gone(pid)
