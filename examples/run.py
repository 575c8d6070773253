"""What `make run` does: a server, a function in it, one invocation, then serve until Ctrl-C.

Uses the command line only, as a person would. PORT and DATA come from the environment.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAMBENT = str(Path(sys.executable).with_name("lambent"))
NAME = "hello"


def main() -> int:
    port, data = os.environ.get("PORT", "4566"), os.environ.get("DATA", ".lambent")
    command = [LAMBENT, "serve", "--port", port, "--data", data]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stopping = False

    def stop(*_):
        nonlocal stopping
        stopping = True
        server.terminate()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    try:
        assert server.stdout is not None
        ready = server.stdout.readline().rstrip("\n")
        if not ready:
            return server.wait()  # it has said why on stderr
        print(ready, flush=True)
        url = ready.split()[2]
        status = tour(url)
        if status == 0:
            print(f"\nconsole  {url}/_lambent/ (not built yet)   health  {url}/_lambent/health")
            print(f"use it   export AWS_ENDPOINT_URL={url}      stop with Ctrl-C", flush=True)
            status = server.wait()
        return 0 if stopping else status
    finally:
        server.terminate()
        server.wait()


def tour(url: str) -> int:
    """Deploy and invoke; the exit status of the first that fails."""
    hello = str(HERE / "hello")
    deploy = [LAMBENT, "deploy", hello, "--name", NAME, "--endpoint", url]
    event = str(HERE / "hello" / "event.json")
    invoke = [LAMBENT, "invoke", NAME, "--event", event, "--log", "--endpoint", url]
    for command in (deploy, invoke):
        print(f"\n$ lambent {' '.join(command[1:])}", flush=True)
        status = subprocess.run(command, check=False).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
