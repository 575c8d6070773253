"""Batches: when they leave, what is dropped, and what is said about it."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.base.tasks import Tasks
from lambent.net import Request, Response, serve
from lambent.sandbox.extensions import delivery
from lambent.sandbox.extensions.delivery import HELD_BATCHES_MAX, Sink, dial_local
from lambent.sandbox.extensions.subscriptions import Subscription


def subscription(port: int, **changes: object) -> Subscription:
    values = {
        "api": "telemetry", "schema": "2022-12-13", "types": ("function",), "items_max": 3,
        "bytes_max": 100, "timeout_s": 1000.0, "protocol": "HTTP", "port": port, "path": "/in",
    }  # fmt: skip
    return Subscription(**{**values, **changes})  # type: ignore[arg-type]


class Receiver:
    """An HTTP destination; `status` is what it answers."""

    def __init__(self) -> None:
        self.batches: asyncio.Queue[list[object]] = asyncio.Queue()
        self.statuses: list[int] = []
        self.requests: list[Request] = []

    async def __call__(self, request: Request) -> Response:
        body = await request.body.read(1 << 22)
        self.requests.append(request)
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.batches.put_nowait(json.loads(body))
        return Response(status)


def lost(count: int, size: int) -> bytes:
    return json.dumps(["lost", count, size]).encode()


def with_receiver(work: Callable[[Receiver, int, Tasks], Awaitable[None]]) -> None:
    async def main() -> None:
        receiver, tasks = Receiver(), Tasks("test")
        server = await serve(receiver)
        try:
            async with asyncio.timeout(20):
                await work(receiver, server.port, tasks)
        finally:
            await tasks.close()
            await server.close()

    asyncio.run(main())


def test_a_batch_leaves_when_it_is_full_or_asked_for() -> None:
    async def work(receiver: Receiver, port: int, tasks: Tasks) -> None:
        sink = Sink(subscription(port), dial_local, tasks, lost)
        for number in range(3):
            sink.add(b"%d" % number)
        assert await receiver.batches.get() == [0, 1, 2]
        request = receiver.requests[0]
        assert (request.method, request.path) == ("POST", "/in")
        assert request.headers["host"] == f"sandbox.localdomain:{port}"
        assert request.headers["content-type"] == "application/json"
        sink.add(b"3")
        sink.flush()
        assert await receiver.batches.get() == [3]
        sink.add(b'"' + b"x" * 120 + b'"')
        assert await receiver.batches.get() == ["x" * 120]
        sink.close()
        sink.add(b"4")
        sink.flush()

    with_receiver(work)


def test_a_batch_leaves_in_time() -> None:
    async def work(receiver: Receiver, port: int, tasks: Tasks) -> None:
        sink = Sink(subscription(port, timeout_s=0.001), dial_local, tasks, lost)
        for number in range(2):
            sink.add(b"%d" % number)
            assert await receiver.batches.get() == [number]
        sink.close()

    with_receiver(work)


def test_who_does_not_take_it_gets_it_again_and_hears_of_what_was_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(delivery, "_AGAIN_S", 0.0)

    async def work(receiver: Receiver, port: int, tasks: Tasks) -> None:
        sink = Sink(subscription(port), dial_local, tasks, lost)
        receiver.statuses = [500]
        sink.add(b"1")
        sink.flush()
        assert await receiver.batches.get() == [1]
        receiver.statuses = [500] * delivery.ATTEMPTS_MAX
        sink.add(b"22")
        sink.flush()
        await tasks.join()
        sink.add(b"3")
        sink.flush()
        assert await receiver.batches.get() == [["lost", 1, 2], 3]
        sink.close()

    with_receiver(work)


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_AGAIN_S", 0.0)

    async def work(receiver: Receiver, port: int, tasks: Tasks) -> None:
        gate = asyncio.Event()

        async def slow(port: int) -> delivery.Streams:
            await gate.wait()
            return await dial_local(port)

        sink = Sink(subscription(port, items_max=1000), slow, tasks, lost)
        count = 1000
        for _ in range(count):
            sink.add(b'"12345678"')  # 10 bytes: 10 to a batch
        await asyncio.sleep(0)
        gate.set()
        await tasks.join()
        sink.flush()
        await tasks.join()
        got: list[object] = []
        while not receiver.batches.empty():
            got += receiver.batches.get_nowait()
        notice = next(one for one in got if isinstance(one, list))
        assert len(got) - 1 + notice[1] == count
        assert notice[2] == 10 * notice[1]
        assert notice[1] >= count - (HELD_BATCHES_MAX + 1) * 10
        sink.close()

    with_receiver(work)


def test_tcp_gets_lines_and_is_connected_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        lines: asyncio.Queue[bytes] = asyncio.Queue()
        ended = asyncio.Event()

        async def reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while line := await reader.readline():
                lines.put_nowait(line)
            writer.close()
            await writer.wait_closed()
            ended.set()

        server = await asyncio.start_server(reading, "127.0.0.1", 0)
        tasks = Tasks("test")
        port = server.sockets[0].getsockname()[1]
        sink = Sink(subscription(port, protocol="TCP"), dial_local, tasks, lost)
        for number in range(3):
            sink.add(b"%d" % number)
        assert [await lines.get() for _ in range(3)] == [b"0\n", b"1\n", b"2\n"]
        sink.add(b"3")
        sink.flush()
        assert await lines.get() == b"3\n"
        sink.close()
        await tasks.close()
        await ended.wait()
        server.close()

    asyncio.run(work())


def test_nobody_listening_costs_the_batch_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "_AGAIN_S", 0.0)

    async def work() -> None:
        tasks = Tasks("test")
        for protocol in ("HTTP", "TCP"):

            async def refuse(port: int) -> delivery.Streams:
                raise ConnectionRefusedError

            sink = Sink(subscription(1, protocol=protocol), refuse, tasks, lost)
            sink.add(b"1")
            sink.flush()
            await tasks.join()
            sink.close()

    asyncio.run(work())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 60), max_size=30), st.integers(1, 5))
def test_every_event_arrives_once_or_is_counted(sizes: list[int], items_max: int) -> None:
    async def work(receiver: Receiver, port: int, tasks: Tasks) -> None:
        sink = Sink(subscription(port, items_max=items_max), dial_local, tasks, lost)
        for number, size in enumerate(sizes):
            sink.add(json.dumps(f"{number}:{'x' * size}").encode())
        while True:
            await tasks.join()
            before = receiver.batches.qsize()
            sink.flush()
            await tasks.join()
            if receiver.batches.qsize() == before:
                break
        events: list[object] = []
        while not receiver.batches.empty():
            batch = receiver.batches.get_nowait()
            assert len([one for one in batch if isinstance(one, str)]) <= items_max
            events += batch
        texts = [one for one in events if isinstance(one, str)]
        numbers = [int(text.partition(":")[0]) for text in texts]
        assert numbers == sorted(set(numbers))
        dropped = sum(one[1] for one in events if isinstance(one, list))
        assert len(numbers) + dropped == len(sizes)
        sink.close()

    with_receiver(work)
