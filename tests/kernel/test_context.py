"""What an operation is given: keys and ARNs of its own account and region, and other services."""

import pytest

from lambent.base.errors import AwsError
from lambent.kernel import Principal
from lambent.store.protocol import Put
from tests.kernel.fakes import context, fake_service, running


async def test_keys_and_arns_are_of_its_account_and_region() -> None:
    async with running(fake_service()) as platform:
        ctx = platform.context("fake", "123456789012", "cn-north-1")
        tenant = ("123456789012", "cn-north-1")
        assert ctx.key("Thing", "a", "b") == (*tenant, "fake", "Thing", "a", "b")
        assert ctx.arn("thing:a") == "arn:aws-cn:fake:cn-north-1:123456789012:thing:a"
        assert ctx.arn("r", service="iam", region="") == "arn:aws-cn:iam::123456789012:r"


async def test_what_one_account_writes_no_other_sees() -> None:
    async with running(fake_service()) as platform:
        mine = context(platform)
        await mine.commit(Put(mine.key("Thing", "a"), {"n": 1}))
        for account, region in (("123456789012", mine.region), (mine.account, "eu-west-1")):
            assert await platform.context("fake", account, region).get("Thing", "a") is None
        assert await platform.context("other", mine.account, mine.region).get("Thing", "a") is None
        record = await mine.get("Thing", "a")
        assert record is not None
        assert record.value == {"n": 1}


async def test_its_surroundings_can_be_seen_from_elsewhere() -> None:
    async with running(fake_service()) as platform:
        platform.endpoint = "http://127.0.0.1:1"
        ctx = context(platform)
        assert (ctx.origin, ctx.now(), ctx.store) == (
            "http://127.0.0.1:1",
            platform.clock.now(),
            platform.store,
        )
        assert (ctx.within("other").service, ctx.service) == ("other", "fake")
        who = Principal("1", "arn:aws:iam::1:user/u", "U")
        assert ctx.acting_as(who).principal == who
        assert ctx.principal == Principal.root(ctx.account)


async def test_a_service_that_is_not_served_cannot_be_called() -> None:
    async with running(fake_service()) as platform:
        with pytest.raises(AwsError, match="does not serve the service 'nobody' yet"):
            await context(platform).call("nobody", "X", {})
