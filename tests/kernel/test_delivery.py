"""Delivery: until it arrives or is given up; backing off, bounded by count and age, durable."""

from pathlib import Path

import pytest

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Platform, Principal, Service, Target, Verbs, Wire
from lambent.kernel.delivery import Deliveries, Delivery, Retry, UndeliverableError
from tests.kernel.fakes import START_S, context, fake_service, running, virtual

TARGET = "arn:aws:fake:eu-west-1:123456789012:box:a"
DEAD = "arn:aws:fake:us-east-1:000000000000:box:dead"


class Box:
    """A target that takes payloads, or refuses them."""

    def __init__(self, refusals: int = 0, *, dead_refusals: int = 0) -> None:
        self.refusals = {TARGET: refusals, DEAD: dead_refusals}
        self.tries: list[float] = []
        self.taken: list[Wire] = []
        self.ctx: Ctx | None = None

    def service(self) -> Service:
        verbs = Verbs()

        @verbs.operation("TakePayload")
        async def take(ctx: Ctx, request: Wire) -> Wire:
            self.ctx = ctx
            self.tries.append(ctx.now() - START_S)
            if self.refusals.get(request["Arn"], 0) > 0:
                self.refusals[request["Arn"]] -= 1
                raise AwsError("NoSuchThing", "gone")
            self.taken.append(request)
            return {}

        target = Target(
            "TakePayload",
            lambda arn, payload, attributes: {
                "Arn": arn,
                "Payload": payload,
                "Attributes": dict(attributes),
            },
        )
        return fake_service(parts=(verbs,), targets={"box": target})


async def _send(platform: Platform, delivery: Delivery) -> None:
    await platform.deliveries.send(context(platform), delivery)
    await virtual(platform).advance(0)


async def _pending(platform: Platform) -> int:
    return await platform.store.count(("-", "-", "kernel", "Timer"))


async def test_it_arrives_at_once_in_the_targets_account_and_region() -> None:
    box = Box()
    async with running(box.service()) as platform:
        await _send(platform, Delivery(target=TARGET, payload=b"\0x", attributes={"k": "v"}))
        assert box.taken == [{"Arn": TARGET, "Payload": b"\0x", "Attributes": {"k": "v"}}]
        assert await _pending(platform) == 0
    assert box.ctx is not None
    assert (box.ctx.service, box.ctx.account, box.ctx.region) == (
        "fake",
        "123456789012",
        "eu-west-1",
    )
    assert box.ctx.principal == Principal(
        "000000000000", "arn:aws:iam::000000000000:root", "000000000000"
    )


async def test_it_arrives_as_the_role() -> None:
    box = Box()
    role = "arn:aws:iam::123456789012:role/path/deliver"
    async with running(box.service()) as platform:
        await _send(platform, Delivery(target=TARGET, payload=b"", role=role))
    assert box.ctx is not None
    assumed = "arn:aws:sts::123456789012:assumed-role/deliver/lambent-delivery"
    assert (box.ctx.principal.arn, box.ctx.principal.account) == (assumed, "123456789012")


async def test_tries_back_off_and_then_it_is_given_up(caplog: pytest.LogCaptureFixture) -> None:
    box = Box(refusals=100)
    async with running(box.service()) as platform:
        retry = Retry(attempts=5, first_s=1.0, most_s=4.0)
        await _send(platform, Delivery(target=TARGET, payload=b"x", retry=retry))
        await virtual(platform).advance(3600)
        assert box.tries == [0.0, 1.0, 3.0, 7.0, 11.0]
        assert await _pending(platform) == 0
    assert box.taken == []
    assert f"gave up delivering to {TARGET}: NoSuchThing: gone" in caplog.text


async def test_a_target_that_recovers_gets_it_once() -> None:
    box = Box(refusals=2)
    async with running(box.service()) as platform:
        await _send(platform, Delivery(target=TARGET, payload=b"x"))
        await virtual(platform).advance(3600)
    assert [one["Payload"] for one in box.taken] == [b"x"]


async def test_too_old_is_given_up_before_the_tries_are_used() -> None:
    box = Box(refusals=100)
    async with running(box.service()) as platform:
        retry = Retry(attempts=100, age_s_max=10.0)
        await _send(platform, Delivery(target=TARGET, payload=b"x", retry=retry))
        await virtual(platform).advance(3600)
    assert box.tries == [0.0, 1.0, 3.0, 7.0]


async def test_what_is_given_up_goes_to_the_dead_letter_target_with_the_reason() -> None:
    box = Box(refusals=100, dead_refusals=1)
    async with running(box.service()) as platform:
        delivery = Delivery(
            target=TARGET,
            payload=b"x",
            attributes={"k": "v"},
            retry=Retry(attempts=2),
            dead_letter=DEAD,
        )
        await _send(platform, delivery)
        await virtual(platform).advance(3600)
        assert await _pending(platform) == 0
    reason = {"ErrorCode": "NoSuchThing", "ErrorMessage": "gone"}
    assert box.taken == [{"Arn": DEAD, "Payload": b"x", "Attributes": {"k": "v"} | reason}]


async def test_a_dead_letter_has_no_dead_letter() -> None:
    box = Box(refusals=100, dead_refusals=100)
    async with running(box.service()) as platform:
        await _send(platform, Delivery(target=TARGET, payload=b"x", dead_letter=DEAD))
        await virtual(platform).advance(86_400)
        assert await _pending(platform) == 0
    assert len(box.tries) == 6


async def test_the_next_server_goes_on_where_the_last_one_stopped(tmp_path: Path) -> None:
    down, up = Box(refusals=100), Box()
    async with running(down.service(), data=tmp_path) as platform:
        await _send(platform, Delivery(target=TARGET, payload=b"x"))
        await virtual(platform).advance(1)
        assert down.tries == [0.0, 1.0]
    async with running(up.service(), data=tmp_path) as platform:
        await virtual(platform).advance(3600)
    assert up.tries == [3.0]
    assert len(up.taken) == 1


async def test_an_unknown_target_is_refused_when_it_is_configured() -> None:
    async with running(Box().service()) as platform:
        deliveries: Deliveries = platform.deliveries
        deliveries.check(TARGET)
        for target in (TARGET.replace(":box:", ":bag:"), TARGET.replace(":fake:", ":other:")):
            with pytest.raises(AwsError, match="does not serve delivery to") as raised:
                deliveries.check(target)
            assert raised.value.status == 501
        with pytest.raises(UndeliverableError, match="not an ARN"):
            deliveries.check("box")


async def test_a_target_that_is_gone_when_it_is_due_is_given_up_not_lost() -> None:
    box = Box()
    async with running(box.service()) as platform:
        gone = TARGET.replace(":fake:", ":other:")
        await _send(platform, Delivery(target=gone, payload=b"x", dead_letter=DEAD))
        await virtual(platform).advance(3600)
    assert [one["Arn"] for one in box.taken] == [DEAD]
    assert box.taken[0]["Attributes"]["ErrorCode"] == "NotImplemented"


async def test_an_invalid_payload_is_a_refusal_like_any_other() -> None:
    target = Target("PutThing", lambda arn, payload, attributes: {"Name": "NOT A NAME"})
    box = Box()
    service = box.service()
    service.targets = {**service.targets, "strict": target}
    async with running(service) as platform:
        strict = TARGET.replace(":box:", ":strict:")
        await _send(platform, Delivery(target=strict, payload=b"x", dead_letter=DEAD))
        await virtual(platform).advance(3600)
    assert box.taken[0]["Attributes"]["ErrorCode"] == "ValidationException"


def test_the_wait_doubles_up_to_its_bound() -> None:
    retry = Retry(first_s=2.0, most_s=60.0)
    assert [retry.wait_s(n) for n in (1, 2, 3, 5, 6, 1000)] == [2, 4, 8, 32, 60, 60]
