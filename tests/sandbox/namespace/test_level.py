"""The namespace level as Lambda uses it: what an environment sees, and what remains of it."""

import asyncio
import os
import textwrap
from pathlib import Path

import pytest

from lambent.sandbox.box import Doorway, InvalidEntrypointError, LaunchError
from lambent.sandbox.namespace import NamespaceSandbox
from tests.sandbox.support import OWN_PYTHON, Bench, has_node, run, value

ECHO = "def handler(e, c):\n    return e\n"


def test_awss_folders_are_real_and_nothing_else_is_there() -> None:
    async def work(bench: Bench) -> None:
        source = textwrap.dedent("""
            import getpass, os, socket, tempfile
            def handler(e, c):
                fd, name = tempfile.mkstemp()
                return {"env": dict(os.environ), "cwd": os.getcwd(), "file": __file__, "tmp": name,
                        "root": sorted(os.listdir("/")), "host": socket.gethostname(),
                        "user": getpass.getuser(), "etc": os.listdir("/etc"),
                        "lang": os.path.exists("/var/lang/bin/python3"), "opt": os.listdir("/opt"),
                        "procs": [p for p in os.listdir("/proc") if p.isdigit()],
                        "groups": open("/proc/self/cgroup").read(),
                        "tmp_mib": os.statvfs("/tmp").f_blocks * os.statvfs("/tmp").f_frsize >> 20}
        """)
        box = await bench.python(source, environment={"MINE": "1"}, tmp_mib=700)
        got = await value(box)
        assert isinstance(got, dict)
        assert got["cwd"] == got["env"]["LAMBDA_TASK_ROOT"] == "/var/task"
        assert got["file"] == "/var/task/m.py"
        assert got["tmp"].startswith("/tmp/")
        assert set(got["root"]) <= set(
            "bin dev etc home lib lib32 lib64 libx32 opt proc root run sbin sys tmp usr var".split()
        )
        assert got["host"] == "169.254.100.1"
        assert got["user"] == "sbx_user1051"
        assert not {"shadow", "sudoers", "machine-id"} & set(got["etc"])
        assert got["lang"] is True
        assert got["opt"] == []
        assert len(got["procs"]) == 1
        assert got["tmp_mib"] == 700
        assert got["env"]["MINE"] == "1"
        assert not set(got["env"]) & {"HOME", "USER", "TMPDIR", "PYTEST_CURRENT_TEST"}

    run(work)


def test_layers_are_at_opt_and_code_is_read_only() -> None:
    async def work(bench: Bench) -> None:
        layers = bench.code({"python/from_layer.py": "A = 1\n"})
        source = textwrap.dedent("""
            import errno, from_layer, os
            def refused(path):
                try:
                    open(path, "w")
                except OSError as error:
                    return errno.errorcode[error.errno]
            def handler(e, c):
                paths = ["/var/task/x", "/opt/x", "/var/runtime/x", "/usr/x", "/x", "/etc/x"]
                return [from_layer.__file__, sorted({refused(path) for path in paths})]
        """)
        box = await bench.python(source, layers=layers)
        assert await value(box) == ["/opt/python/from_layer.py", ["EROFS"]]

    run(work)


def test_every_language_runs_here() -> None:
    async def work(bench: Bench) -> None:
        if has_node(bench.sandbox):
            box = await bench.node("exports.handler = async (e) => [e, process.cwd()];")
            assert await value(box, 1) == [1, "/var/task"]
        if Path("/usr/bin/curl").exists():
            script = "#!/bin/sh\napi=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation\n"
            script += "while true; do\n  event=$(curl -sS -D /tmp/h $api/next)\n"
            script += "  id=$(grep -i request-id /tmp/h | tr -d '\\r' | cut -d' ' -f2)\n"
            script += '  curl -sS -o /dev/null -d "[$event]" $api/$id/response\ndone\n'
            box = await bench.start({"bootstrap": script}, runtime="provided.al2023")
            assert await value(box, 5) == [5]
            assert await value(box, 6) == [6]

    run(work)


def test_the_platform_is_reached_where_it_is_outside_and_nobody_else() -> None:
    async def work(bench: Bench) -> None:
        asked = []

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            asked.append(await reader.readline())
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nplatform")
            writer.close()

        other = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = other.sockets[0].getsockname()[1]
        assert isinstance(bench.sandbox, NamespaceSandbox)
        bench.sandbox.doorway = Doorway(
            "127.0.0.1", 4566, lambda sock: asyncio.start_server(answer, sock=sock)
        )
        source = textwrap.dedent("""
            import urllib.request
            def get(url):
                try:
                    return urllib.request.urlopen(url, timeout=5).read().decode()
                except OSError as error:
                    return type(error.reason).__name__
            def handler(e, c):
                return [get(url) for url in e]
        """)
        box = await bench.python(source)
        urls = ["http://127.0.0.1:4566/x", "http://localhost:4566/", f"http://127.0.0.1:{port}/"]
        got = await value(box, [*urls, "http://192.0.2.1/"])
        assert got == ["platform", "platform", "ConnectionRefusedError", "OSError"]
        assert asked[0] == b"GET /x HTTP/1.1\r\n"
        await box.close()
        other.close()

    run(work)


def test_launch_errors_name_their_reason(tmp_path: Path) -> None:
    async def work(bench: Bench) -> None:
        with pytest.raises(LaunchError, match="java21"):
            await bench.launch(bench.code({"m.py": ""}), runtime="java21")
        with pytest.raises(LaunchError, match="not a folder"):
            await bench.launch(bench.sandbox.code_root / "absent")
        with pytest.raises(LaunchError, match="unpack code below"):
            await bench.launch(tmp_path)
        with pytest.raises(InvalidEntrypointError):
            await bench.launch(bench.code({"x": ""}), runtime="provided.al2023")
        box = await bench.launch(bench.code({"bootstrap": "no program"}), runtime="provided.al2")
        failed = await box.ready()
        assert failed is not None
        assert b"exec format error" in failed.payload

    run(work)


def test_environments_leave_nothing() -> None:
    """LAMBENT_ENVIRONMENTS=2000 for more."""

    async def work(bench: Bench) -> None:
        code = bench.code({"m.py": ECHO})
        sandbox = bench.sandbox
        assert isinstance(sandbox, NamespaceSandbox)

        async def one(n: int) -> int:
            box = await bench.launch(code)
            assert await box.ready() is None
            assert await value(box, n) == n
            await box.close()
            return box.pid

        await one(-1)  # starts the nursery
        pids = []
        for start in range(0, int(os.environ.get("LAMBENT_ENVIRONMENTS", "200")), 10):
            pids += await asyncio.gather(*(one(n) for n in range(start, start + 10)))
        groups, folder = list(sandbox.cgroups.parents.values()), sandbox.folders.root
        await sandbox.close()
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
        assert [group for group in groups if group.exists()] == []
        assert not folder.exists()
        assert "lambent" not in Path("/proc/self/mountinfo").read_text()
        if sandbox.identities:
            assert sandbox.identities._taken == set()
        with pytest.raises(LaunchError, match="closed"):
            await bench.launch(code)

    before = set(os.listdir("/proc/self/fd"))
    run(work, limit_s=600)
    assert len(set(os.listdir("/proc/self/fd"))) == len(before)


def test_a_launch_that_is_given_up_leaves_nothing() -> None:
    async def work(bench: Bench) -> None:
        code = bench.code({"m.py": ECHO})
        sandbox = bench.sandbox
        assert isinstance(sandbox, NamespaceSandbox)
        for _ in range(5):
            launching = asyncio.ensure_future(bench.launch(code))
            await asyncio.sleep(0)
            launching.cancel()
            with pytest.raises(asyncio.CancelledError):
                await launching
        box = await bench.launch(code, runtime=OWN_PYTHON)
        assert await box.ready() is None
        await box.close()
        await sandbox.close()
        if sandbox.identities:
            assert sandbox.identities._taken == set()

    run(work)
