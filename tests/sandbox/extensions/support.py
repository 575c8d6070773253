"""An external extension written against the documented API, with the standard library only."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lambent.sandbox.runtimes import reachable
from tests.sandbox.support import Bench

EXTENSION = """#!{python}
import http.server, json, os, socket, sys, threading, urllib.request

API = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"]
NAME = os.path.basename(sys.argv[0])
MODE = {mode!r}

def call(method, path, body=None, **headers):
    headers = {{k.replace("_", "-"): v for k, v in headers.items()}}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(API + path, data, headers, method=method)
    with urllib.request.urlopen(request) as answer:
        return answer.headers, json.loads(answer.read() or b"null")

seen = threading.Event()

def write(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())  # whole, whichever thread

def say(*words):
    write(NAME, *words)

def received(events):
    for event in events:
        write("GOT", json.dumps(event))
        if event["type"] == "platform.runtimeDone":
            seen.set()

def listen_http():
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()
        def log_message(self, *_):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    return {{"protocol": "HTTP", "URI": "http://sandbox.localdomain:%d/in" % port}}

def listen_tcp():
    server = socket.create_server(("127.0.0.1", 0))
    def read():
        with server.accept()[0].makefile() as lines:
            for line in lines:
                received([json.loads(line)])
    threading.Thread(target=read, daemon=True).start()
    return {{"protocol": "TCP", "port": server.getsockname()[1]}}

if "crash" in MODE:
    sys.exit(2)
headers, about = call("POST", "/2020-01-01/extension/register", {{"events": {events!r}}},
    Lambda_Extension_Name=NAME, Lambda_Extension_Accept_Feature="accountId")
me = {{"Lambda_Extension_Identifier": headers["Lambda-Extension-Identifier"]}}
say("registered", json.dumps(about, sort_keys=True))
if "env" in MODE:
    say("env", json.dumps(sorted(os.environ)))
if "init-error" in MODE:
    call("POST", "/2020-01-01/extension/init/error", {{}},
        Lambda_Extension_Function_Error_Type="Extension.NoConfig", **me)
for protocol, listen in (("http", listen_http), ("tcp", listen_tcp)):
    if protocol in MODE:
        what = {{"schemaVersion": "2022-12-13", "types": ["platform", "function"],
            "buffering": {{"timeoutMs": 25, "maxBytes": 262144, "maxItems": 1000}},
            "destination": listen()}}
        _, answer = call("PUT", "/2022-07-01/telemetry", what, **me)
        say("subscribed", answer)
while True:
    headers, event = call("GET", "/2020-01-01/extension/event/next", **me)
    assert headers["Lambda-Extension-Event-Identifier"]
    say("event", json.dumps(event, sort_keys=True))
    if event["eventType"] == "SHUTDOWN":
        if "http" in MODE or "tcp" in MODE:
            seen.wait()
        if "stubborn" in MODE:
            threading.Event().wait()
        sys.exit(0)
    if "exit-in-invoke" in MODE:
        sys.exit(3)
    if "exit-error" in MODE:
        call("POST", "/2020-01-01/extension/exit/error", {{}},
            Lambda_Extension_Function_Error_Type="Extension.Tired", **me)
    if "slow" in MODE:
        path = os.environ["FLAG"]
        while not os.path.exists(path):
            threading.Event().wait(0.005)
"""


def python() -> str:
    """A Python that any user of this machine may run."""
    found = [shutil.which("python3", path="/usr/bin:/usr/local/bin"), sys.executable]
    for one in found:
        if one and reachable(Path(os.path.realpath(one))):
            return one
    pytest.skip("no Python that environments can execute")


def layers(bench: Bench, modes: Mapping[str, str], events: object = None) -> Path:
    """Layers with one extension per name; the mode says how it behaves."""
    wanted = ["INVOKE", "SHUTDOWN"] if events is None else events
    files = {
        f"extensions/{name}": EXTENSION.format(python=python(), mode=mode, events=wanted)
        for name, mode in modes.items()
    }
    return bench.code(files)
