"""A load generator: keep-alive connections that send prepared requests and time the answers.

    echo '{"port": 4566, "connections": 16, "seconds": 5, "requests": ["<base64>", ...]}' \
        | python -m bench.load

A process of its own, so that it takes no CPU from whoever measures. It costs 9 to 11 us of CPU a
request at 16 connections, about 13 at one. Against a bare protocol on a busy 2-core machine it made
25,000 to 67,000 requests/s in three runs: near such rates it is part of what it measures, and the
server's CPU time is the figure to trust. Each connection has one request in flight; requests are
sent in turn, whichever connection is free. Prints one line of JSON.
"""

import asyncio
import base64
import itertools
import json
import sys
from collections import Counter
from time import perf_counter
from typing import Any

import httptools
import uvloop

GRACE_S = 60.0
"""How long answers may take after the end before they count as lost."""


class Run:
    """What the connections of one run share."""

    def __init__(self, requests: list[bytes], seconds: float) -> None:
        self.requests = itertools.cycle(requests)
        self.began_s = perf_counter()
        self.ends_s = self.began_s + seconds
        self.latencies_s: list[float] = []
        self.errors: Counter[str] = Counter()

    def report(self) -> dict[str, Any]:
        took_s = perf_counter() - self.began_s
        ordered = sorted(self.latencies_s) or [0.0]
        return {
            "requests": len(self.latencies_s),
            "rps": round(len(self.latencies_s) / took_s, 1),
            "p50_ms": round(ordered[len(ordered) // 2] * 1e3, 3),
            "p99_ms": round(ordered[len(ordered) * 99 // 100] * 1e3, 3),
            "errors": dict(self.errors),
        }


class Caller(asyncio.Protocol):
    """One connection: a request, its answer, the next request."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.ended = asyncio.get_running_loop().create_future()
        self.parser = httptools.HttpResponseParser(self)
        self.sent_s = 0.0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        self.sent_s = perf_counter()
        self.transport.write(next(self.run.requests))

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        now_s, run = perf_counter(), self.run
        run.latencies_s.append(now_s - self.sent_s)
        status = self.parser.get_status_code()
        if not 200 <= status < 300:
            run.errors[str(status)] += 1
        self.sent_s = 0.0
        if now_s < run.ends_s and self.parser.should_keep_alive():
            self.send()
        else:
            self.transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        if self.sent_s:
            self.run.errors["lost"] += 1
        if not self.ended.done():
            self.ended.set_result(None)


async def call(run: Run, port: int) -> None:
    """Keep one connection busy until the run ends; a closed one is opened again."""
    loop = asyncio.get_running_loop()
    while perf_counter() < run.ends_s:
        try:
            _, caller = await loop.create_connection(lambda: Caller(run), "127.0.0.1", port)
        except OSError as error:
            run.errors[error.strerror or "connect"] += 1
            return
        await caller.ended


async def load(
    requests: list[bytes], port: int, connections: int, seconds: float
) -> dict[str, Any]:
    run = Run(requests, seconds)
    try:
        async with asyncio.timeout(seconds + GRACE_S):
            await asyncio.gather(*(call(run, port) for _ in range(connections)))
    except TimeoutError:
        run.errors["late"] += 1
    return run.report()


if __name__ == "__main__":
    job = json.load(sys.stdin)
    prepared = [base64.b64decode(text) for text in job["requests"]]
    result = uvloop.run(load(prepared, job["port"], job["connections"], job["seconds"]))
    print(json.dumps(result))
