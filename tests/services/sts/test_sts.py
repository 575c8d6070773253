"""STS by boto3: who asks, sessions of roles and users, their ends, and what is refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers import ACCOUNT, ThreadServer

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}
        ],
    }
)


def role(server: ThreadServer, name: str, **more: Any) -> dict[str, Any]:
    account = more.pop("account", None)
    iam = server.client("iam", **({"account": account} if account else {}))
    made: dict[str, Any] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, **more)[
        "Role"
    ]
    return made


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def session(server: ThreadServer, service: str, credentials: dict[str, Any]) -> Any:
    return server.client(
        service,
        key=credentials["AccessKeyId"],
        secret=credentials["SecretAccessKey"],
        token=credentials["SessionToken"],
    )


def test_the_account_itself(server: ThreadServer) -> None:
    answer = server.client("sts", account="210987654321").get_caller_identity()
    del answer["ResponseMetadata"]
    assert answer == {
        "UserId": "210987654321",
        "Account": "210987654321",
        "Arn": "arn:aws:iam::210987654321:root",
    }


def test_a_roles_session_is_who_asks(server: ThreadServer) -> None:
    made = role(server, "assumed", Path="/deep/")
    answer = server.client("sts").assume_role(RoleArn=made["Arn"], RoleSessionName="me@work")
    user = answer["AssumedRoleUser"]
    assert user["AssumedRoleId"] == f"{made['RoleId']}:me@work"
    assert user["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/assumed/me@work"
    assert "PackedPolicySize" not in answer
    who = session(server, "sts", answer["Credentials"]).get_caller_identity()
    assert (who["UserId"], who["Arn"]) == (user["AssumedRoleId"], user["Arn"])
    key = answer["Credentials"]["AccessKeyId"]
    assert server.client("sts").get_access_key_info(AccessKeyId=key)["Account"] == ACCOUNT


def test_a_role_of_another_account(server: ThreadServer) -> None:
    made = role(server, "elsewhere", account="333333333333")
    answer = server.client("sts").assume_role(RoleArn=made["Arn"], RoleSessionName="across")
    who = session(server, "sts", answer["Credentials"]).get_caller_identity()
    assert who["Account"] == "333333333333"


@pytest.mark.parametrize("name", ["nobody", "assumable/not/here"])
def test_a_role_that_is_not_there(server: ThreadServer, name: str) -> None:
    arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
    error = refused(server.client("sts").assume_role, RoleArn=arn, RoleSessionName="s1")
    assert error == (
        "AccessDenied",
        f"User: arn:aws:iam::{ACCOUNT}:root is not authorized to perform: sts:AssumeRole on "
        f"resource: {arn}",
    )


def test_an_arn_must_be_right_to_the_letter(server: ThreadServer) -> None:
    role(server, "with-path", Path="/p/")
    arn = f"arn:aws:iam::{ACCOUNT}:role/with-path"
    assert refused(server.client("sts").assume_role, RoleArn=arn, RoleSessionName="s1")[0] == (
        "AccessDenied"
    )
    bad = "arn:aws:s3:::a-bucket-is-no-role"
    assert refused(server.client("sts").assume_role, RoleArn=bad, RoleSessionName="s1") == (
        "ValidationError",
        f"{bad} is invalid",
    )


def test_how_long_a_session_may_last(server: ThreadServer) -> None:
    sts = server.client("sts", parameter_validation=False)
    arn = role(server, "short")["Arn"]
    code, text = refused(sts.assume_role, RoleArn=arn, RoleSessionName="s1", DurationSeconds=3601)
    assert code == "ValidationError"
    assert "MaxSessionDuration set for this role" in text
    code, text = refused(sts.assume_role, RoleArn=arn, RoleSessionName="s1", DurationSeconds=899)
    assert code == "ValidationError"
    assert "900" in text
    long = role(server, "long", MaxSessionDuration=7200)["Arn"]
    first = sts.assume_role(RoleArn=long, RoleSessionName="s1", DurationSeconds=7200)
    chained = session(server, "sts", first["Credentials"])
    code, text = refused(
        chained.assume_role, RoleArn=long, RoleSessionName="s2", DurationSeconds=3601
    )
    assert "role chaining" in text
    chained.assume_role(RoleArn=long, RoleSessionName="s2", DurationSeconds=3600)


def test_session_policies_and_tags(server: ThreadServer) -> None:
    sts = server.client("sts")
    arn = role(server, "packed")["Arn"]
    answer = sts.assume_role(
        RoleArn=arn,
        RoleSessionName="s1",
        Policy=json.dumps({"Version": "2012-10-17", "Statement": []}),
        Tags=[{"Key": "team", "Value": "blue"}],
        SourceIdentity="somebody",
    )
    assert answer["SourceIdentity"] == "somebody"
    assert 0 < answer["PackedPolicySize"] <= 100
    key = answer["Credentials"]["AccessKeyId"]
    kept = server.run(
        server.platform.store.get((ACCOUNT, "us-east-1", "sts", "Session", key))
    ).value
    assert kept["Tags"] == [{"Key": "team", "Value": "blue"}]
    assert kept["RoleArn"] == arn
    request = {"RoleArn": arn, "RoleSessionName": "s1"}
    assert refused(sts.assume_role, **request, Policy="{")[0] == "MalformedPolicyDocument"
    big = json.dumps({"Version": "2012-10-17", "Id": "x" * 3000})
    assert refused(sts.assume_role, **request, Policy=big)[0] == "PackedPolicyTooLarge"
    mfa = {"SerialNumber": "arn:aws:iam::1:mfa/x", "TokenCode": "123456"}
    assert refused(sts.assume_role, **request, **mfa)[0] == "AccessDenied"


def test_session_tokens(server: ThreadServer) -> None:
    iam, sts = server.client("iam"), server.client("sts")
    iam.create_user(UserName="tokened")
    key = iam.create_access_key(UserName="tokened")["AccessKey"]
    user = server.client("sts", key=key["AccessKeyId"], secret=key["SecretAccessKey"])
    temporary = session(server, "sts", user.get_session_token()["Credentials"])
    assert temporary.get_caller_identity()["Arn"].endswith(":user/tokened")
    assert refused(temporary.get_session_token) == (
        "AccessDenied",
        "Cannot call GetSessionToken with session credentials",
    )
    assert refused(sts.get_session_token, SerialNumber="a" * 9, TokenCode="123456")[0] == (
        "AccessDenied"
    )


def test_what_is_not_served(server: ThreadServer) -> None:
    sts = server.client("sts")
    assert refused(sts.decode_authorization_message, EncodedMessage="x")[0] == "NotImplemented"


def test_credentials_expire_and_are_forgotten(server_factory: Callable[..., ThreadServer]) -> None:
    server = server_factory(virtual_clock=True, enforce=True)
    made = role(server, "expiring")
    answer = server.client("sts").assume_role(
        RoleArn=made["Arn"], RoleSessionName="s1", DurationSeconds=900
    )
    credentials = answer["Credentials"]
    assert credentials["Expiration"].timestamp() == int(server.clock.now() + 900)

    def issued() -> Any:
        return server.run(server.platform.identities.find(credentials["AccessKeyId"]))

    server.clock.advance(899)
    assert issued().expires_s > server.clock.now()
    server.clock.advance(86_400)
    assert issued() is not None
    server.clock.advance(2)
    assert issued() is None
    key = (ACCOUNT, "us-east-1", "sts", "Session", credentials["AccessKeyId"])
    assert server.run(server.platform.store.get(key)) is None


def test_under_enforcement_no_other_account_is_entered(enforcing_server: ThreadServer) -> None:
    server = enforcing_server
    sts = server.client("sts")
    other = "arn:aws:iam::333333333333:role/elsewhere"
    assert refused(sts.assume_role, RoleArn=other, RoleSessionName="s1")[0] == "AccessDenied"
    made = role(server, "own")
    policy = json.dumps({"Version": "2012-10-17", "Statement": []})
    code, text = refused(sts.assume_role, RoleArn=made["Arn"], RoleSessionName="s1", Policy=policy)
    assert (code, text.partition(" ")[0]) == ("ValidationError", "Policy")
    credentials = sts.assume_role(RoleArn=made["Arn"], RoleSessionName="s1")["Credentials"]
    assert session(server, "sts", credentials).get_caller_identity()["Arn"].endswith("/own/s1")
    wrong = credentials | {"SecretAccessKey": "wrong"}
    assert refused(session(server, "sts", wrong).get_caller_identity)[0] == "SignatureDoesNotMatch"
    code, _ = refused(sts.get_access_key_info, AccessKeyId="AKIAIOSFODNN7EXAMPLE")
    assert code == "ValidationError"


def test_an_access_key_signs_until_it_is_switched_off(enforcing_server: ThreadServer) -> None:
    server = enforcing_server
    iam = server.client("iam")
    iam.create_user(UserName="signer")
    key = iam.create_access_key(UserName="signer")["AccessKey"]
    signed = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
    sts = server.client("sts", **signed)
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/signer"
    change = {"UserName": "signer", "AccessKeyId": key["AccessKeyId"]}
    iam.update_access_key(**change, Status="Inactive")
    assert refused(sts.get_caller_identity)[0] in (
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    )
    iam.update_access_key(**change, Status="Active")
    iam.update_user(UserName="signer", NewUserName="renamed", NewPath="/new/")
    assert sts.get_caller_identity()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/new/renamed"
    iam.delete_access_key(UserName="renamed", AccessKeyId=key["AccessKeyId"])
    assert refused(sts.get_caller_identity)[0] in (
        "InvalidClientTokenId",
        "UnrecognizedClientException",
    )


def test_sessions_survive_kill_9(lambent_process: Callable[..., Any]) -> None:
    process = lambent_process()
    iam = process.client("iam")
    arn = iam.create_role(RoleName="durable", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    answer = process.client("sts").assume_role(RoleArn=arn, RoleSessionName="s1")
    process.kill()
    process.restart()
    who = session(process, "sts", answer["Credentials"]).get_caller_identity()
    assert who["Arn"] == answer["AssumedRoleUser"]["Arn"]
