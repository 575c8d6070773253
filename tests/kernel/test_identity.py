"""Access keys: twelve digits are an account, issued keys their principal, the rest the default."""

from pathlib import Path

import pytest

from lambent.base.errors import AwsError
from lambent.kernel import Platform, Principal
from lambent.kernel import identity as identity_module
from lambent.kernel.identity import Issued, role_session
from tests.kernel.fakes import running, virtual

USER = Principal("123456789012", "arn:aws:iam::123456789012:user/u", "AIDAU")


async def _issue(platform: Platform, lifetime_s: float = 0.0) -> Issued:
    issued = platform.identities.make(USER, lifetime_s=lifetime_s)
    await platform.store.commit(platform.identities.put(issued))
    return issued


async def test_twelve_digits_are_that_account() -> None:
    async with running() as platform:
        who = await platform.identities.principal("123456789012", "cn-north-1")
    assert who == Principal.root("123456789012", "aws-cn", "123456789012")
    assert (who.arn, who.user_id) == ("arn:aws-cn:iam::123456789012:root", "123456789012")


@pytest.mark.parametrize("key", ["", "test", "AKIAUNKNOWN", "12345678901", "1234567890123"])
async def test_any_other_key_is_the_default_account(key: str) -> None:
    async with running(account="999999999999") as platform:
        who = await platform.identities.principal(key, "us-east-1")
    assert (who.account, who.access_key) == ("999999999999", key)


async def test_an_issued_key_is_its_principal_until_it_is_dropped() -> None:
    async with running() as platform:
        issued = await _issue(platform)
        who = await platform.identities.principal(issued.access_key, "us-east-1")
        assert (who.account, who.arn, who.user_id) == (USER.account, USER.arn, USER.user_id)
        assert who.access_key == issued.access_key
        await platform.store.commit(platform.identities.drop(issued.access_key))
        who = await platform.identities.principal(issued.access_key, "us-east-1")
        assert who.account == "000000000000"


async def test_the_form_of_keys() -> None:
    async with running() as platform:
        long_term = platform.identities.make(USER)
        session = platform.identities.make(USER, lifetime_s=900)
        now_s = platform.clock.now()
    assert (long_term.access_key[:4], len(long_term.access_key)) == ("AKIA", 20)
    assert (session.access_key[:4], len(session.access_key)) == ("ASIA", 20)
    assert len(long_term.secret) == len(session.secret) == 40
    assert (long_term.token, long_term.expires_s) == ("", 0.0)
    assert len(session.token) == 180
    assert session.expires_s == now_s + 900


async def test_a_stored_key_comes_back_as_it_was(tmp_path: Path) -> None:
    async with running(data=tmp_path) as platform:
        long_term, session = await _issue(platform), await _issue(platform, 3600)
    async with running(data=tmp_path) as platform:
        assert await platform.identities.find(long_term.access_key) == long_term
        assert await platform.identities.find(session.access_key) == session


async def test_a_lent_key_is_known_to_this_server_only(tmp_path: Path) -> None:
    async with running(data=tmp_path) as platform:
        lent = platform.identities.make(USER, lifetime_s=900)
        platform.identities.lend(lent)
        assert await platform.identities.verified(lent.access_key, lent.token) == lent
        platform.identities.revoke(lent.access_key)
        platform.identities.revoke(lent.access_key)
        assert await platform.identities.find(lent.access_key) is None
        platform.identities.lend(lent)
    async with running(data=tmp_path) as platform:
        assert await platform.identities.find(lent.access_key) is None


async def test_lent_keys_are_bounded_and_the_oldest_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity_module, "SESSIONS_MAX", 3)
    async with running() as platform:
        lent = [platform.identities.make(USER, lifetime_s=900) for _ in range(5)]
        for one in lent:
            platform.identities.lend(one)
        found = [await platform.identities.find(one.access_key) for one in lent]
    assert [one is not None for one in found] == [False, False, True, True, True]


async def test_verified() -> None:
    async with running() as platform:
        identities = platform.identities
        session = await _issue(platform, 900)
        assert await identities.verified(session.access_key, session.token) == session
        for key, token in (("AKIANOBODY", ""), (session.access_key, "wrong"), ("", "")):
            with pytest.raises(AwsError) as raised:
                await identities.verified(key, token)
            assert (raised.value.code, raised.value.status) == ("UnrecognizedClientException", 403)
        await virtual(platform).advance(900)
        with pytest.raises(AwsError) as raised:
            await identities.verified(session.access_key, session.token)
        assert (raised.value.code, raised.value.status) == ("ExpiredTokenException", 403)


async def test_a_disabled_key_is_not_verified() -> None:
    async with running() as platform:
        made = platform.identities.make(USER)
        disabled = Issued(made.access_key, made.secret, made.principal, active=False)
        await platform.store.commit(platform.identities.put(disabled))
        with pytest.raises(AwsError, match="security token included in the request is invalid"):
            await platform.identities.verified(made.access_key, "")


async def test_an_enforcing_server_has_one_root_key_that_survives(tmp_path: Path) -> None:
    async with running(data=tmp_path) as platform:
        assert platform.identities.root is None
    async with running(data=tmp_path, enforce=True) as platform:
        root = platform.identities.root
        assert root is not None
        assert root.principal.arn == "arn:aws:iam::000000000000:root"
        assert await platform.identities.verified(root.access_key, "") == root
    async with running(data=tmp_path, enforce=True) as platform:
        assert platform.identities.root == root
        user = await _issue(platform)
        await platform.reset()
        assert platform.identities.root == root
        assert await platform.identities.find(root.access_key) == root
        assert await platform.identities.find(user.access_key) is None


def test_a_roles_session() -> None:
    who = role_session("arn:aws:iam::123456789012:role/service/r", "s", "AROA1")
    assert who == Principal("123456789012", "arn:aws:sts::123456789012:assumed-role/r/s", "AROA1:s")
