"""The microvm level as Lambda uses it: what is launched, what it sees, what it leaves."""

import asyncio
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from lambent.sandbox.box import InvalidEntrypointError, LaunchError
from lambent.sandbox.microvm import MicrovmSandbox
from lambent.sandbox.runtimes import UnknownRuntimeError
from tests.sandbox.microvm.support import MicrovmBench, a_bench
from tests.sandbox.support import event, value, wait_gone

ROOT_FOLDER = Path(__file__).parents[3]
EVAL = "import os, sys\ndef handler(e, c):\n    return eval(e)\n"


def test_a_machine_of_its_own_restored_from_a_snapshot(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        await bench.sandbox.prepare(256)
        snapshots = await bench.sandbox.snapshots()
        booted, restored = snapshots.booted, snapshots.restored
        one = await bench.python(EVAL)
        two = await bench.python(EVAL)
        assert (snapshots.booted, snapshots.restored) == (booted, restored + 2)
        assert await value(one, "os.uname().release") == bench.sandbox.image().kernel
        # Restored from the same memory, but not the same randomness or time.
        draw = "os.urandom(16).hex()"
        assert await value(one, draw) != await value(two, draw)
        # Separate: what one writes the other does not see.
        await value(one, "open('/tmp/mine', 'w').write('x')")
        assert await value(one, "os.listdir('/tmp')") == ["mine"]
        assert await value(two, "os.listdir('/tmp')") == []

    bench.run(work)


def test_the_host_is_not_there(bench: MicrovmBench, tmp_path: Path) -> None:
    async def work(bench: MicrovmBench) -> None:
        box = await bench.python(EVAL)
        secret = tmp_path / "secret"
        secret.write_text("x")
        assert await value(box, f"os.path.exists({str(secret)!r})") is False
        assert await value(box, "os.path.exists('/etc/shadow')") is False
        assert await value(box, "os.listdir('/var/task')") == ["m.py"]
        assert await value(box, "os.listdir('/sys/class/net')") == ["lo"]
        assert await value(box, "(os.getuid(), os.getgroups())") == [993, []]
        assert await value(box, "os.access('/dev/vda', os.R_OK)") is False
        seen = await value(box, "sum(p.isdigit() for p in os.listdir('/proc'))")
        assert isinstance(seen, int)
        assert seen < 100  # the guest's own

    bench.run(work)


def test_read_only_code_layers_and_a_tmp_of_the_size_asked_for(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        source = textwrap.dedent("""
            import errno, os, from_layer
            def fails(path, size=1):
                try:
                    with open(path, "wb") as file:
                        for _ in range(size):
                            file.write(bytes(1 << 20))
                except OSError as error:
                    return errno.errorcode[error.errno]
            def handler(e, c):
                room = os.statvfs("/tmp")
                return [from_layer.A, fails("/var/task/x"), fails("/opt/x"), fails("/usr/x"),
                        room.f_bavail * room.f_frsize >> 20, fails("/tmp/x", 80)]
        """)
        layers = bench.code({"python/from_layer.py": "A = 1\n"})
        box = await bench.python(source, layers=layers, tmp_mib=64)
        got = await value(box)
        assert isinstance(got, list)
        assert got[:4] == [1, "EROFS", "EROFS", "EROFS"]
        assert 64 <= got[4] < 68
        assert got[5] == "ENOSPC"

    bench.run(work)


BOOTSTRAP = """#!/bin/sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while :; do
    event=$(curl -sS -D /tmp/head "$api/next")
    id=$(sed -n 's/^Lambda-Runtime-Aws-Request-Id: \\([-a-f0-9]*\\).*/\\1/p' /tmp/head)
    echo "working"
    [ "$event" = '"stop"' ] && exit 7
    curl -sS -o /dev/null "$api/$id/response" -d "{\\"got\\": $event}"
done
"""


def test_a_shell_script_as_provided_runtime(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        box = await bench.start({"bootstrap": BOOTSTRAP}, runtime="provided.al2023")
        assert await value(box, {"a": 1}) == {"got": {"a": 1}}
        assert await value(box, 2) == {"got": 2}
        assert bench.output == [b"working", b"working"]
        assert box.memory_used_mib() > 0
        with pytest.raises(Exception, match="exit status 7"):
            await box.invoke(event("stop"))
        text = "Couldn't find valid bootstrap"
        with pytest.raises(InvalidEntrypointError, match=text):
            await bench.launch(bench.code({"x": ""}), runtime="provided.al2023")
        box = await bench.launch(bench.code({"bootstrap": "no program"}), runtime="provided.al2")
        failed = await box.ready()
        assert failed is not None
        assert failed.error_type == "Runtime.InvalidEntrypoint"

    bench.run(work)


def test_node(bench: MicrovmBench) -> None:
    if bench.sandbox.image().node is None:
        pytest.skip("the image has no Node.js")

    async def work(bench: MicrovmBench) -> None:
        source = (
            "exports.handler = async (e) => { console.log('hi'); return [e, process.pid > 1]; }"
        )
        box = await bench.start({"m.js": source}, runtime="nodejs20.x", memory_mib=256)
        assert await value(box, {"a": 1}) == [{"a": 1}, True]
        assert len(bench.output) == 1

    bench.run(work)


def test_of_the_network_only_the_endpoint(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 600_000)
            await writer.drain()
            writer.close()

        endpoint = await asyncio.start_server(answer, "127.0.0.1", 0)
        other = await asyncio.start_server(answer, "127.0.0.1", 0)
        ports = [server.sockets[0].getsockname()[1] for server in (endpoint, other)]
        source = textwrap.dedent("""
            import urllib.error, urllib.request
            def handler(e, c):
                try:
                    return len(urllib.request.urlopen(f"http://127.0.0.1:{e}/").read())
                except urllib.error.URLError as error:
                    return str(error.reason)
        """)
        own = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[1]}"}  # the function's own idea
        bench.sandbox.doorway = SimpleNamespace(host="127.0.0.1", port=ports[0])
        box = await bench.python(source, environment=own)
        bench.sandbox.doorway = None
        assert await value(box, ports[0]) == 600_000
        assert "refused" in str(await value(box, ports[1]))
        for server in (endpoint, other):
            server.close()
            await server.wait_closed()

    bench.run(work)


def test_nothing_is_left_behind(bench: MicrovmBench) -> None:
    with a_bench(bench.sandbox.image().folder) as own:
        pids: list[int] = []
        roots: list[Path] = []
        before = os.listdir("/proc/self/fd")

        async def work(own: MicrovmBench) -> None:
            roots.append(own.sandbox.folders.root)
            for _ in range(3):
                box = await own.python(EVAL)
                pids.append(box.pid)
            await own.sandbox._boxes.copy().pop().close()  # the others at the end of the test

        own.run(work)
        assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert not roots[0].exists()
    assert len(os.listdir("/proc/self/fd")) <= len(before)


SERVER = """
import sys, uvloop
from pathlib import Path
from tests.sandbox.microvm.support import a_bench

async def work(bench):
    box = await bench.python("def handler(e, c): return 1")
    print(box.pid, flush=True)
    sys.stdin.read()

with a_bench(Path(sys.argv[1])) as bench:
    bench.run(work)
"""


def test_a_machine_dies_with_its_server(bench: MicrovmBench) -> None:
    image = str(bench.sandbox.image().folder)
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT_FOLDER,
    ) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
    wait_gone(pid)


def test_runtimes_and_what_cannot_be_run(bench: MicrovmBench, tmp_path: Path) -> None:
    major, minor = bench.sandbox.image().python[:2]
    assert bench.sandbox.resolve(f"python{major}.{minor}").note == ""
    assert "running it with" in bench.sandbox.resolve("python3.99").note
    with pytest.raises(UnknownRuntimeError, match="nothing that runs java21"):
        bench.sandbox.resolve("java21")

    async def work(bench: MicrovmBench) -> None:
        bare = MicrovmSandbox(home=tmp_path, search_path=os.environ["PATH"])
        with pytest.raises(UnknownRuntimeError, match="no image in"):
            bare.resolve("python3.12")
        found = await bare.probe()
        assert not found.works
        assert any("no image in" in reason for reason in found.reasons)
        await bare.close()
        with pytest.raises(LaunchError, match="closed"):
            await bare.launch(None)  # type: ignore[arg-type]

    bench.run(work)


def test_the_probe_believes_only_a_guest_that_answers(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        found = await bench.sandbox.probe()
        assert found.level == "microvm"
        excuses = ("a guest did not", "not open to")  # answer, start; this user, its group
        assert found.works or any(text in found.reasons[0] for text in excuses), found

    bench.run(work)
