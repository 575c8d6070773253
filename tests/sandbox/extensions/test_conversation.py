"""A conversation with a runtime and extensions beside it: order, failures, what costs nothing."""

import asyncio
from pathlib import Path

import pytest

from lambent.sandbox.box import Answer, BoxGone, Exited, InitError, Invocation, Spec
from lambent.sandbox.extensions.api import State
from lambent.sandbox.extensions.conversation import ExtendedConversation, RuntimeEnd, extended
from lambent.sandbox.streams import Stream, collected
from tests.sandbox.support import event


class Runtime:
    rss_kib = 7

    def __init__(self) -> None:
        self.initialised: asyncio.Future[InitError | None] = asyncio.Future()
        self.answer: asyncio.Future[Answer] = asyncio.Future()
        self.closed = False

    async def ready(self) -> InitError | None:
        return await self.initialised

    async def invoke(self, invocation: Invocation) -> Answer:
        return await self.answer

    async def idle(self) -> None:
        pass

    def is_idle(self) -> bool:
        return True

    def end(self, exited: Exited) -> None:
        if not self.answer.done():
            self.answer.set_exception(BoxGone(exited))
            self.answer.exception()

    async def close(self) -> None:
        self.closed = True


def spec(runtime: str = "python3.12", layers: Path | None = Path("/opt")) -> Spec:
    return Spec(
        id="x", runtime=runtime, handler="m.h", task_root=Path("/"), layers_root=layers,
        environment={}, memory_mib=128, tmp_mib=512, init_timeout_s=10, on_output=lambda _: None,
    )  # fmt: skip


def conversation() -> tuple[ExtendedConversation, Runtime, list[str]]:
    found, begun = extended(spec()), []
    assert found is not None
    runtime = Runtime()
    found.attach(runtime, lambda: begun.append("begun"))
    return found, runtime, begun


def register(found: ExtendedConversation, name: str, *events: str) -> None:
    extension = found.api.extensions.get(name) or found.api.expect(name)
    extension.state, extension.events = State.READY, events
    found.api._notify()


def test_who_may_have_extensions() -> None:
    assert extended(spec(layers=None)) is None
    assert extended(spec("provided.al2023", None)) is not None


async def test_the_runtime_begins_when_all_external_extensions_have_registered() -> None:
    found, runtime, begun = conversation()
    found.api.expect("a")
    ready = asyncio.ensure_future(found.ready())
    await asyncio.sleep(0)
    assert begun == []
    register(found, "a", "INVOKE")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert begun == ["begun"]
    runtime.initialised.set_result(None)
    assert await ready is None
    assert found.rss_kib == 7
    await found.close()
    assert runtime.closed


async def test_an_extensions_failure_ends_what_the_runtime_does() -> None:
    for waits in ("ready", "invoke"):
        found, runtime, _ = conversation()
        register(found, "a", "INVOKE")
        if waits == "invoke":
            runtime.initialised.set_result(None)
            await found.ready()
        work = found.ready() if waits == "ready" else found.invoke(event())
        waiting = asyncio.ensure_future(work)
        await asyncio.sleep(0)
        found.api.process_ended(found.api.extensions["a"], Exited(0))
        with pytest.raises(BoxGone, match="exit code 0") as caught:
            await waiting
        assert caught.value.exited.error_type == "Extension.Crash"
        await found.close()


async def test_the_end_of_the_runtime_ends_the_wait_for_extensions() -> None:
    found, _, _ = conversation()
    register(found, "a", "INVOKE")
    found.api.extensions["a"].state = State.RUNNING
    assert not found.is_idle()
    waiting = asyncio.ensure_future(found.idle())
    await asyncio.sleep(0)
    found.end(Exited(1))
    with pytest.raises(BoxGone, match="exit status 1"):
        await waiting
    await found.close()


async def test_a_stream_is_done_when_it_has_ended() -> None:
    found, runtime, _ = conversation()
    register(found, "a", "INVOKE")
    stream = Stream()
    runtime.answer.set_result(Answer(payload=b"", stream=stream))
    answer = await found.invoke(event())

    def told() -> list[str]:
        return [one.kind for one in found.telemetry._backlog]

    assert told() == ["platform.start"]
    stream.feed(b"a")
    stream.finish()
    assert (await collected(answer)).payload == b"a"
    await asyncio.sleep(0)
    assert told() == ["platform.start", "platform.runtimeDone"]
    done = found.telemetry._backlog[-1].record
    assert isinstance(done, dict)
    assert (done["status"], done["metrics"]["producedBytes"]) == ("success", 1)
    await found.close()


async def test_the_shutdown_phase_is_as_long_as_awss() -> None:
    found, _, _ = conversation()
    assert found.shutdown_s == 0.0
    exited: asyncio.Future[Exited] = asyncio.Future()
    sent: list[int] = []
    end = RuntimeEnd(exited, sent.append)
    await found.shut_down("spindown", end)
    assert sent == []
    register(found, "a", "SHUTDOWN")
    assert found.shutdown_s == 2.0
    found.api.extensions["a"].external = False
    assert found.shutdown_s == 0.5
    await found.shut_down("timeout", end)
    assert sent == [19]
    exited.set_result(Exited(0))
    await found.shut_down("spindown", end)
    assert sent == [19]
    await found.close()
