"""`make run`: a server with a function in it, shown once, until it is told to stop."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN_S_MAX = 60


def start(port: str, data: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / "run.py")],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PORT": port, "DATA": str(data)},
    )


def test_it_shows_a_function_and_serves_until_told_to_stop(tmp_path: Path) -> None:
    process = start("0", tmp_path / "data")
    assert process.stdout is not None
    with process.stdout as lines:
        seen = []
        for line in lines:
            seen.append(line)
            if "stop with Ctrl-C" in line:
                process.send_signal(signal.SIGINT)
        assert process.wait(RUN_S_MAX) == 0
    text = "".join(seen)
    assert seen[0].startswith("lambent ready http://127.0.0.1:")
    assert '"greeting": "Hello, Lambent!"' in text
    assert "REPORT RequestId: " in text
    assert "/_lambent/" in text
    assert "Traceback" not in text


def test_a_taken_port_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        process = start(str(port), tmp_path / "data")
        text, _ = process.communicate(timeout=RUN_S_MAX)
    assert process.returncode == 1
    assert text.startswith(f"lambent: port {port} is already taken by process {os.getpid()} ")
