"""Functions that mean harm, at every level that claims to stop them, and what they leave: nothing.

`attack` runs a function, expects the server and another function to stay well, and looks for leaks.
The levels differ in what they claim; what a level does not claim is skipped by name.
"""

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from lambent.sandbox.box import BoxGone, Exited, Invocation
from lambent.sandbox.process_box import ProcessBox
from tests.sandbox.support import ROOT, Bench, event, run, value, wait_gone

Attack = Callable[[Bench], Awaitable[None]]
ECHO = "def handler(e, c):\n    return e\n"
TRY = """
import ctypes, errno, os, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    if libc.syscall(number, *arguments) < 0:
        return errno.errorcode[ctypes.get_errno()]
    return "done"
def tried(action):
    try:
        result = action()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done" if result is None else result
def handler(e, c):
"""


def function(body: str) -> str:
    return TRY + textwrap.indent(textwrap.dedent(body), "    ")


@pytest.fixture
def isolated(level: str) -> None:
    if level == "process":
        pytest.skip("the process level does not claim this")


def traces() -> set[str]:
    """What the kernel and the file systems know of Lambent's environments."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    found = {f"mount {line}" for line in mounts if "lambent-" in line}
    for hierarchy in Path("/sys/fs/cgroup").glob("*"):
        for folder, _, _ in os.walk(hierarchy):
            if "lambent-box-" in folder:
                found.add(f"group {folder}")
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            uid = os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue
        if uid >= 200_000:
            found.add(f"process {pid} of {uid}")
    return found | {f"folder {path}" for path in Path("/var/tmp").glob("lambent-box-*")}


def attack(work: Attack) -> None:
    """Run it; afterwards another function answers, and nothing new is left on the machine."""
    ours: set[str] = set()

    async def attacked(bench: Bench) -> None:
        bystander = await bench.python(ECHO)
        assert await value(bystander, "before") == "before"
        await work(bench)
        assert await value(bystander, "after") == "after"
        newcomer = await bench.python(ECHO)
        assert await value(newcomer, "new") == "new"
        ours.add(bench.sandbox.folders.root.name)
        if bench.sandbox.identities:
            ours.update(f"of {uid}" for uid in bench.sandbox.identities._taken)

    run(attacked)
    (folder,) = (name for name in ours if name.startswith("lambent"))
    left = [one for one in traces() if folder in one or any(one.endswith(uid) for uid in ours)]
    assert left == []


async def ends(bench: Bench, body: str, *, seconds: float = 3.0, **options: object) -> Exited:
    """Run `body`, give it some time, kill it; how it ended."""
    box = await bench.python(function(body), **options)
    assert isinstance(box, ProcessBox)
    try:
        async with asyncio.timeout(seconds):
            await box.invoke(event())
    except (TimeoutError, BoxGone):
        pass
    exited = await box.close()
    wait_gone(box.pid)
    return exited


# ---- using up what is limited ----


def test_a_fork_bomb() -> None:
    async def work(bench: Bench) -> None:
        await ends(bench, "while True:\n    try: os.fork()\n    except OSError: pass\n")

    if not ROOT:
        pytest.skip("processes are counted per user, which only root can give each environment")
    attack(work)


def test_a_memory_bomb() -> None:
    async def work(bench: Bench) -> None:
        body = "a = []\nwhile True: a.append(b'x' * 10_000_000)\n"
        assert (await ends(bench, body, seconds=20, memory_mib=128)).out_of_memory

    attack(work)


def test_a_memory_bomb_in_many_processes() -> None:
    async def work(bench: Bench) -> None:
        body = "for _ in range(20):\n    if os.fork() == 0: break\n"
        body += "a = b'x' * 30_000_000\nimport time; time.sleep(100)\n"
        assert (await ends(bench, body, seconds=20, memory_mib=128)).out_of_memory

    attack(work)


@pytest.mark.usefixtures("isolated")
def test_filling_tmp_and_every_other_place_that_can_be_written() -> None:
    async def work(bench: Bench) -> None:
        body = """
            def fill(path):
                with open(path, "wb", 0) as file:
                    while True: file.write(b"x" * 1000000)
            found = [tried(lambda: fill("/tmp/a" + str(n))) for n in range(3)]
            os.unlink("/tmp/a0")
            places = ["/var/task", "/opt", "/dev", "/run", "/", "/var", "/etc", "/proc", "/sys"]
            return found, sorted({tried(lambda: fill(place + "/x")) for place in places}), [
                tried(lambda: fill("/tmp/again")), tried(lambda: fill("/dev/shm/x"))]
        """
        box = await bench.python(function(body), tmp_mib=64, memory_mib=256)
        tmp, places, again = await value(box)  # type: ignore[misc]
        assert tmp[1:] == ["ENOSPC", "ENOSPC"]
        assert tmp[0] in ("ENOSPC", "EFBIG")
        assert set(places) <= {"EROFS", "EACCES", "ENOENT", "EPERM"}
        assert again[0] in ("ENOSPC", "EFBIG")

    attack(work)


def test_endless_output_without_a_newline() -> None:
    async def work(bench: Bench) -> None:
        await ends(bench, "while True: os.write(1, b'x' * 65536)\n", seconds=1)
        assert max(map(len, bench.output)) <= 262_144

    attack(work)


def test_too_many_files() -> None:
    async def work(bench: Bench) -> None:
        body = "held = []\ndef more():\n    while True: held.append(open('/dev/null'))\n"
        box = await bench.python(function(body + "try: return tried(more), len(held)\n"
                                          "finally: held.clear()\n"))  # fmt: skip
        name, count = await value(box)  # type: ignore[misc]
        assert name == "EMFILE"
        assert 1_000 < count < 1_024

    attack(work)


# ---- reaching what is not its own ----


def test_the_host_s_secrets_and_the_store(tmp_path: Path) -> None:
    if not ROOT:
        pytest.skip("needs root: the server's own user reads its own files")
    store = Path("/root/.lambent-test-store")
    store.mkdir(mode=0o700, exist_ok=True)
    (store / "lambent.db").write_text("secret")

    async def work(bench: Bench) -> None:
        body = f"""
            paths = ["/etc/shadow", "{store}/lambent.db", "/proc/1/environ", "/proc/kcore",
                     "/root/.ssh", "/dev/mem", "/dev/kmsg"]
            return [tried(lambda: open(path).read()) for path in paths]
        """
        box = await bench.python(function(body))
        found = await value(box)
        assert isinstance(found, list)
        assert set(found) <= {"EACCES", "ENOENT", "EPERM", "ENOTDIR", ""}

    try:
        attack(work)
    finally:
        (store / "lambent.db").unlink()
        store.rmdir()


def test_another_function_s_code_variables_and_tmp() -> None:
    if not ROOT:
        pytest.skip("needs root: without it all environments are one user")

    async def work(bench: Bench) -> None:
        secret = {"SECRET": "of-another-function"}
        victim_code = bench.code({"m.py": ECHO + "# of-another-function\n"})
        victim = await bench.launch(victim_code, environment=secret)
        assert await victim.ready() is None
        body = f"""
            found = [tried(lambda: open("{victim_code}/m.py").read()),
                     tried(lambda: open("/proc/{victim.pid}/environ").read()),
                     tried(lambda: str(os.listdir("/proc/{victim.pid}/root/tmp"))),
                     tried(lambda: str(os.listdir("/proc/{victim.pid}/cwd")))]
            for top, folders, files in os.walk("/proc"):
                folders[:] = [f for f in folders if f.isdigit() or f == "task"]
                for file in ("environ", "cmdline", "maps"):
                    try:
                        found.append(open(top + "/" + file, errors="replace").read())
                    except OSError:
                        pass
            return [text for text in found if "of-another-function" in text], found[:4]
        """
        box = await bench.python(function(body))
        found, direct = await value(box)  # type: ignore[misc]
        assert found == []
        assert set(direct) <= {"EACCES", "ENOENT", "EPERM"}

    attack(work)


def test_tracing_and_signals() -> None:
    if not ROOT:
        pytest.skip("needs root: a user may signal its own processes")
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as host:

        async def work(bench: Bench) -> None:
            victim = await bench.python(ECHO)
            pids = [host.pid, os.getpid(), victim.pid, os.getppid()]
            body = f"""
                found = []
                for pid in {pids}:
                    for number in (0, 9, 15, 19):
                        found.append(tried(lambda: os.kill(pid, number)))
                    found.append(call(101, 16, pid, 0, 0))
                    found.append(call(310, pid, 0, 0, 0, 0, 0))
                found.append(tried(lambda: os.kill(1, 9)))
                return sorted(set(found))
            """
            box = await bench.python(function(body))
            assert set(await value(box)) <= {"EPERM", "ESRCH", "ENOSYS"}  # type: ignore[call-overload]
            assert host.poll() is None
            assert await value(victim, 1) == 1

        attack(work)
        host.communicate(b"\n")


def test_killing_everything_in_reach_kills_only_itself() -> None:
    if not ROOT:
        pytest.skip("needs root: without it all environments are one user")

    async def work(bench: Bench) -> None:
        body = "child = os.fork()\nif not child: signal.pause()\n"
        body += "os.kill(-1, 9)\nreturn os.waitpid(child, 0)[1]\n"
        box = await bench.python("import signal\n" + function(body))
        assert await value(box) == signal.SIGKILL

    attack(work)


@pytest.mark.usefixtures("isolated")
def test_the_runtime_api_and_ports_of_others() -> None:
    async def work(bench: Bench) -> None:
        server = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        if not Path("/usr/bin/curl").exists():
            pytest.skip("no curl on this machine")
        api = "http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
        script = f"#!/bin/sh\ncurl -sS {api}/next; echo; sleep 100\n"
        victim = await bench.start({"bootstrap": script}, runtime="provided.al2023")
        body = f"""
            def get(address):
                with socket.create_connection(address, timeout=2) as sock:
                    sock.sendall(b"GET /2018-06-01/runtime/invocation/next HTTP/1.0\\r\\n\\r\\n")
                    return sock.recv(100).decode() or "closed"
            own = ("169.254.100.1", 9001)
            return [tried(lambda: get(a)) for a in [("127.0.0.1", {port}), ("10.0.0.1", 80)]]
        """
        box = await bench.python(function(body))
        assert await value(box) == ["ECONNREFUSED", "ENETUNREACH"]
        invoking = asyncio.ensure_future(victim.invoke(event({"for": "victim"})))
        await bench.until(lambda: b"victim" in b"".join(bench.output))
        invoking.cancel()
        server.close()

    attack(work)


def test_mounts_name_spaces_keyrings_and_raw_sockets() -> None:
    async def work(bench: Bench) -> None:
        body = """
            AF_PACKET, AF_ALG, AF_VSOCK = 17, 38, 40
            found = {
                "mount": call(165, b"none", b"/tmp", b"tmpfs", 0, 0),
                "umount": call(166, b"/var/task", 2),
                "chroot": tried(lambda: os.chroot("/tmp")),
                "unshare": call(272, 0x10000000),
                "setns": call(308, 0, 0),
                "clone": call(56, 0x10000000 | 17, 0, 0, 0, 0),
                "clone3": call(435, 0, 0),
                "open_tree": call(428, -100, b"/", 1),
                "fsopen": call(430, b"tmpfs", 0),
                "keyctl": call(250, 0, -3, 0),
                "add_key": call(248, b"user", b"x", b"y", 1, -3),
                "bpf": call(321, 0, 0, 0),
                "perf": call(298, 0, 0, -1, -1, 0),
                "userfaultfd": call(323, 0),
                "io_uring": call(425, 1, 0),
                "module": call(175, 0, 0, b""),
                "reboot": call(169, 0xfee1dead, 672274793, 0, 0),
                "handle": call(304, -100, 0, 0),
                "raw": tried(lambda: socket.socket(2, socket.SOCK_RAW, 1).close()),
                "packet": tried(lambda: socket.socket(AF_PACKET, 3).close()),
                "alg": tried(lambda: socket.socket(AF_ALG, 5).close()),
                "vsock": tried(lambda: socket.socket(AF_VSOCK, 1).close()),
                "netfilter": tried(lambda: socket.socket(16, 3, 12).close()),
                "setuid": tried(lambda: os.setuid(0)) if os.getuid() else "EPERM",
                "nice": tried(lambda: os.nice(-5)),
                "hostname": tried(lambda: socket.sethostname("x")),
                "node": tried(lambda: os.mknod("/tmp/node", 0o600 | 0o060000, 0)),
            }
            return {name: how for name, how in found.items()
                    if how not in ("EPERM", "EAFNOSUPPORT", "ENOSYS", "EACCES")}
        """
        if os.uname().machine != "x86_64":
            pytest.skip("the numbers are those of x86_64")
        assert await value(await bench.python(function(body))) == {}

    attack(work)


def test_a_set_user_id_program_gains_nothing() -> None:
    async def work(bench: Bench) -> None:
        body = "return subprocess.run(['/bin/su', '-c', 'id'], capture_output=True).returncode"
        box = await bench.python(function(body))
        assert await value(box) != 0

    if not Path("/bin/su").exists():
        pytest.skip("no su on this machine")
    attack(work)


@pytest.mark.usefixtures("isolated")
def test_links_lead_nowhere_else() -> None:
    async def work(bench: Bench) -> None:
        (bench.sandbox.code_root / "other").mkdir()
        (bench.sandbox.code_root / "other" / "secret").write_text("secret")
        code = bench.code({"m.py": function("""
            paths = ["/var/task/up/secret", "/var/task/host/etc/shadow",
                     "/proc/self/root/../etc/shadow", "/proc/self/cwd/../../etc/shadow"]
            for n, path in enumerate(paths):
                os.symlink(path, "/tmp/link" + str(n))
            fd = os.open("/var/task", os.O_RDONLY)
            up = tried(lambda: os.open("../other/secret", os.O_RDONLY, dir_fd=fd))
            return [tried(lambda: open("/tmp/link" + str(n)).read()) for n in range(4)] + [up]
        """)})  # fmt: skip
        (code / "up").symlink_to("../other")
        (code / "host").symlink_to("/")
        box = await bench.launch(code)
        assert await box.ready() is None
        assert set(await value(box)) <= {"ENOENT", "EACCES"}  # type: ignore[call-overload]

    attack(work)


# ---- not ending, not speaking properly ----


def test_ignoring_every_signal() -> None:
    async def work(bench: Bench) -> None:
        body = """
            import signal, time
            for number in range(1, 65):
                try: signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError): pass
            print("deaf", flush=True)
            while True: time.sleep(1)
        """
        box = await bench.python(function(body))
        invoking = asyncio.ensure_future(box.invoke(event()))
        await bench.until(lambda: b"deaf" in bench.output)
        assert await box.close(grace_s=0.2) == Exited(None, signal.SIGKILL)
        with pytest.raises(BoxGone):
            await invoking

    attack(work)


def test_children_that_outlive_the_answer_die_with_the_environment() -> None:
    async def work(bench: Bench) -> None:
        body = """
            import time
            for _ in range(5):
                if os.fork() == 0:
                    os.setsid()
                    if os.fork() == 0:
                        os.closerange(0, 100)
                        time.sleep(1000)
                    os._exit(0)
            return "answered"
        """
        box = await bench.python(function(body))
        assert await value(box) == "answered"
        await box.close()

    attack(work)


def test_answering_twice_and_for_others() -> None:
    async def work(bench: Bench) -> None:
        body = """
            import json, struct
            def answer(sequence):
                payload = b'"forged"'
                os.write(3, struct.pack(">BxHII", 18, 2, len(payload), sequence) + b"{}" + payload)
            for sequence in (0, 2, 3, 99):
                answer(sequence)
            return "own"
        """
        box = await bench.python(function(body))
        assert await value(box) == "own"
        assert await value(box) in (
            "own",
            "forged",
        )
        assert await value(box) in ("own", "forged")

    attack(work)


def test_closing_the_runtime_api_half_way() -> None:
    async def work(bench: Bench) -> None:
        python = Path("/usr/bin/python3")
        if not python.exists():
            pytest.skip("no system-wide python3 on this machine")
        script = f"#!{python}\n" + textwrap.dedent("""
            import os, socket
            host, port = os.environ["AWS_LAMBDA_RUNTIME_API"].split(":")
            def ask(data):
                sock = socket.create_connection((host, int(port)))
                sock.sendall(data)
                return sock
            path = b"/2018-06-01/runtime/invocation/"
            head = ask(b"GET " + path + b"next HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n").recv(4096)
            id = head.lower().split(b"request-id: ")[1].split(b"\\r\\n")[0]
            post = b"POST " + path + id + b"/response HTTP/1.1\\r\\nHost: x"
            post += b"\\r\\nContent-Length: 1000"
            ask(post + b"\\r\\n\\r\\nhalf").close()
            ask(post + b"000\\r\\n\\r\\n").close()
            os._exit(3)
        """)
        box = await bench.launch(bench.code({"bootstrap": script}), runtime="provided.al2023")
        assert await box.ready() is None
        with pytest.raises(BoxGone, match="exit status 3"):
            await box.invoke(event())

    attack(work)


def test_an_invocation_s_identity_is_not_the_next_one_s() -> None:
    async def work(bench: Bench) -> None:
        box = await bench.python("def handler(e, c):\n    return c.aws_request_id\n")
        for request_id in ("first", "second"):
            one: Invocation = event(None, request_id=request_id)
            assert (await box.invoke(one)).payload == b'"%s"' % request_id.encode()

    attack(work)
