"""A runtime's last words count, whichever way they came."""

import asyncio
import json
import socket

import pytest

from lambent.sandbox.box import Answer, BoxGone, Exited, InitError
from lambent.sandbox.channel import ERROR, LAUNCH_FAILED, READY, RESULT, encode
from lambent.sandbox.conversation import FramedConversation, HttpConversation
from tests.sandbox.support import event


class Far:
    """The far end of a framed conversation."""

    def __init__(self) -> None:
        ours, self.sock = socket.socketpair()
        self.drained = 0
        self.hung_up = 0
        self.near = FramedConversation(ours, b"start", self.drain, self.hang_up)
        assert self.sock.recv(5) == b"start"

    def drain(self) -> None:
        self.drained += 1

    def hang_up(self) -> None:
        self.hung_up += 1


def test_answers_that_were_sent_before_the_end_are_delivered() -> None:
    async def work() -> None:
        far = Far()
        far.sock.sendall(encode(READY, b'{"rss": 2048}'))
        assert await far.near.ready() is None
        waiting = asyncio.ensure_future(far.near.invoke(event()))
        await asyncio.sleep(0)
        far.sock.sendall(encode(RESULT, b"{}", b"1", 1))
        far.sock.close()
        far.near.end(Exited(1))
        assert await waiting == Answer(payload=b"1")
        assert far.near.rss_kib == 2048
        assert far.drained == 2
        with pytest.raises(BoxGone):
            await far.near.invoke(event())
        await far.near.close()

    asyncio.run(work())


def test_stale_and_doubled_answers_are_ignored() -> None:
    async def work() -> None:
        far = Far()
        far.sock.sendall(encode(READY) + encode(READY) + encode(RESULT, b"{}", b"early", 0))
        assert await far.near.ready() is None
        waiting = asyncio.ensure_future(far.near.invoke(event()))
        await asyncio.sleep(0)
        idle = asyncio.ensure_future(far.near.idle())
        far.sock.sendall(
            encode(RESULT, b"{}", b"stale", 7)
            + encode(ERROR, b'{"type": "E", "rss": "x"}', b"{}", 1)
            + encode(RESULT, b"{}", b"second", 1)
        )
        assert await waiting == Answer(payload=b"{}", error_type="E")
        await idle
        await far.near.close()
        far.sock.close()

    asyncio.run(work())


def test_a_program_that_cannot_start_is_an_init_error_in_awss_words() -> None:
    async def work() -> None:
        for report, reason in (
            (b'{"text": "Exec format error"}', "exec format error"),
            (b"?", "unknown error"),
        ):
            far = Far()
            far.sock.sendall(encode(LAUNCH_FAILED, payload=report))
            failed = await far.near.ready()
            assert isinstance(failed, InitError)
            assert json.loads(failed.payload) == {
                "errorType": "Runtime.InvalidEntrypoint",
                "errorMessage": f"fork/exec /var/task/bootstrap: {reason}",
            }
            await far.near.close()
            far.sock.close()

    asyncio.run(work())


def test_an_http_runtime_that_ends_fails_what_waits() -> None:
    async def work() -> None:
        conversation = HttpConversation(lambda: None)
        address = await conversation.listen()
        assert address.startswith("127.0.0.1:")
        ready = asyncio.ensure_future(conversation.ready())
        await asyncio.sleep(0)
        conversation.end(Exited(5))
        with pytest.raises(BoxGone, match="exit status 5"):
            await ready
        with pytest.raises(BoxGone):
            await conversation.invoke(event())
        with pytest.raises(BoxGone):
            await conversation.idle()
        await conversation.close()

    asyncio.run(work())
