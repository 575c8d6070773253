"""What is measured, on every peer in turn: start, memory, cold and warm Invoke, S3, Logs.

A scenario prepares a peer once, then yields one result per round and peer; `__main__` interleaves
the peers, so that the noise of the machine falls on all of them alike.
"""

import base64
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.calls import CallFailed, Calls, must
from bench.peers import ROOT, Peer

Result = dict[str, Any]
QUIET = "def handler(event, context):\n    return event\n"
PRINTING = "def handler(event, context):\n    print(event)\n    return event\n"
COLD_SPACING_S = 0.25
"""Between cold starts: back to back, they hide waits in the kernel that users meet."""
SETTLE_S = 2.0


@dataclass(frozen=True)
class Scenario:
    """`prepare` gives the requests of a load, `measure` (instead) one round without load."""

    name: str
    prepare: Callable[[Calls], list[bytes]] | None = None
    measure: Callable[[Peer, int], Result] | None = None
    figure: str = "rps"
    """What the ratio is made of, and its unit."""
    unit: str = "rps"
    more_is_better: bool = True


def run_load(peer: Peer, requests: list[bytes], connections: int, seconds: float) -> Result:
    """One round of load, with the server's CPU time per request."""
    texts = [base64.b64encode(request).decode() for request in requests]
    job = {"port": peer.port, "connections": connections, "seconds": seconds, "requests": texts}
    own_s, tree_s = peer.cpu_s()
    done = subprocess.run(
        [sys.executable, "-m", "bench.load"],
        input=json.dumps(job), capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    result: Result = json.loads(done.stdout)
    own_after_s, tree_after_s = peer.cpu_s()
    count = max(1, result["requests"])
    result["server_cpu_us"] = round((own_after_s - own_s) / count * 1e6, 1)
    result["tree_cpu_us"] = round((tree_after_s - tree_s) / count * 1e6, 1)
    return result


def start(peer: Peer, _: int) -> Result:
    """From the command to the first good health answer, on an empty folder."""
    with type(peer)() as fresh:
        return {"ms": round(fresh.start_s * 1e3, 1)}


def memory(peer: Peer, _: int) -> Result:
    """Proportional set size of the process tree, idle, before any request but health."""
    with type(peer)() as fresh:
        time.sleep(SETTLE_S)
        return {"mb": round(fresh.memory_mb(), 1)}


def cold_invoke(peer: Peer, number: int) -> Result:
    """The first invocation of functions that nobody has invoked before."""
    calls, times_ms = Calls(peer.port), []
    for n in range(10):
        name = f"cold-{number}-{n}"
        _create(calls, name)
        time.sleep(COLD_SPACING_S)
        request = calls.invoke(name)
        began_s = time.perf_counter()
        must(peer.port, request)
        times_ms.append((time.perf_counter() - began_s) * 1e3)
    return {"p50_ms": round(statistics.median(times_ms), 1), "max_ms": round(max(times_ms), 1)}


def _create(calls: Calls, name: str, source: str = QUIET) -> None:
    must(calls.port, calls.create_function(name, source))
    while b'"Active"' not in must(calls.port, calls.get_function(name)):
        time.sleep(0.02)


def warm_invoke(calls: Calls) -> list[bytes]:
    """A handler that prints nothing: MiniStack waits about 50 ms for output of such a one, so that
    the ratio says more about that wait than about invocations. See `warm_invoke_printing`."""
    _create(calls, "warm")
    return [calls.invoke("warm")]


def warm_invoke_printing(calls: Calls) -> list[bytes]:
    """A handler that prints a line: the fair comparison of the two."""
    _create(calls, "printing", PRINTING)
    return [calls.invoke("printing")]


def s3_put(calls: Calls) -> list[bytes]:
    must(calls.port, calls.create_bucket("bench-put"))
    return [calls.put_object("bench-put", f"key-{n:04d}", b"x" * 1024) for n in range(1000)]


def s3_get(calls: Calls) -> list[bytes]:
    must(calls.port, calls.create_bucket("bench-get"))
    for n in range(100):
        must(calls.port, calls.put_object("bench-get", f"key-{n:04d}", b"x" * 1024))
    return [calls.get_object("bench-get", f"key-{n:04d}") for n in range(100)]


def logs_put(calls: Calls) -> list[bytes]:
    must(calls.port, calls.logs("CreateLogGroup", logGroupName="/bench"))
    streams = [f"stream-{n}" for n in range(16)]
    for stream in streams:
        must(calls.port, calls.logs("CreateLogStream", logGroupName="/bench", logStreamName=stream))
    return [calls.put_log_events("/bench", stream) for stream in streams]


SCENARIOS = (
    Scenario("start", measure=start, figure="ms", unit="ms", more_is_better=False),
    Scenario("memory", measure=memory, figure="mb", unit="MB", more_is_better=False),
    Scenario("cold-invoke", measure=cold_invoke, figure="p50_ms", unit="ms", more_is_better=False),
    Scenario("warm-invoke", prepare=warm_invoke),
    Scenario("warm-print", prepare=warm_invoke_printing),
    Scenario("s3-put-1k", prepare=s3_put),
    Scenario("s3-get-1k", prepare=s3_get),
    Scenario("logs-put", prepare=logs_put),
)


def rounds(scenario: Scenario, peers: list[Peer], count: int, seconds: float) -> Iterator[Result]:
    """Results, one per peer and round (and number of connections), peers in turn.

    A peer that fails a call outside of the load yields that error and is left out.
    """
    prepared: dict[Peer, list[bytes]] = {}
    for peer in peers:
        try:
            prepared[peer] = scenario.prepare(Calls(peer.port)) if scenario.prepare else []
        except CallFailed as error:
            yield _result(scenario, peer, 1, {"errors": {str(error): 1}})
    for connections in (1, 16) if scenario.prepare else (1,):
        for peer, requests in prepared.items():  # warm: caches, environments, connections
            if requests:
                run_load(peer, requests, connections, min(1.0, seconds))
        for number in range(count):
            for peer, requests in list(prepared.items()):
                try:
                    if scenario.measure is not None:
                        result = scenario.measure(peer, number)
                    else:
                        result = run_load(peer, requests, connections, seconds)
                except CallFailed as error:
                    result = {"errors": {str(error): 1}}
                    del prepared[peer]
                yield _result(scenario, peer, connections, result)


def _result(scenario: Scenario, peer: Peer, connections: int, result: Result) -> Result:
    return {"scenario": scenario.name, "peer": peer.name, "connections": connections} | result
