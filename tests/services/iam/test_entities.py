"""Roles, users, groups and instance profiles by boto3: their lives, their texts, their lists."""

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers import ACCOUNT, ThreadServer

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)
DOCUMENT = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
    }
)
BASIC = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


@pytest.fixture
def iam(server: ThreadServer) -> Any:
    return server.client("iam", parameter_validation=False)


def refused(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def role(iam: Any, name: str, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST, **more)[
        "Role"
    ]
    return made


def test_the_life_of_a_role(iam: Any) -> None:
    made = role(iam, "Living", Path="/p/", Description="one", MaxSessionDuration=7200)
    assert made["Arn"] == f"arn:aws:iam::{ACCOUNT}:role/p/Living"
    assert (made["RoleId"][:4], len(made["RoleId"])) == ("AROA", 21)
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert refused(iam.create_role, RoleName="living", AssumeRolePolicyDocument=TRUST) == (
        "EntityAlreadyExists",
        "Role with name living already exists.",
    )
    iam.update_role(RoleName="Living", Description="two")
    got = iam.get_role(RoleName="Living")["Role"]
    assert (got["Description"], got["MaxSessionDuration"]) == ("two", 7200)
    updated = iam.update_role_description(RoleName="Living", Description="three")["Role"]
    assert updated["Description"] == "three"
    iam.attach_role_policy(RoleName="Living", PolicyArn=BASIC)
    iam.put_role_policy(RoleName="Living", PolicyName="in", PolicyDocument=DOCUMENT)
    conflict = "DeleteConflict"
    must = "Cannot delete entity, must {} first.".format
    delete = iam.delete_role
    assert refused(delete, RoleName="Living") == (conflict, must("detach all policies"))
    iam.detach_role_policy(RoleName="Living", PolicyArn=BASIC)
    assert refused(delete, RoleName="Living") == (conflict, must("delete policies"))
    iam.delete_role_policy(RoleName="Living", PolicyName="in")
    delete(RoleName="Living")
    missing = ("NoSuchEntity", "The role with name Living cannot be found.")
    for call in (iam.get_role, delete, iam.list_role_policies, iam.list_role_tags):
        assert refused(call, RoleName="Living") == missing
    assert refused(iam.get_role_policy, RoleName="Living", PolicyName="x") == missing
    assert refused(iam.attach_role_policy, RoleName="Living", PolicyArn=BASIC) == missing


def test_tags_of_each_kind(iam: Any) -> None:
    tags = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": ""}]
    role(iam, "tagged", Tags=tags)
    iam.create_user(UserName="tagged", Tags=tags)
    iam.create_instance_profile(InstanceProfileName="tagged", Tags=tags)
    arn = iam.create_policy(PolicyName="tagged", PolicyDocument=DOCUMENT, Tags=tags)["Policy"][
        "Arn"
    ]
    kinds: list[tuple[str, dict[str, str]]] = [
        ("role", {"RoleName": "tagged"}),
        ("user", {"UserName": "tagged"}),
        ("instance_profile", {"InstanceProfileName": "tagged"}),
        ("policy", {"PolicyArn": arn}),
    ]
    for kind, name in kinds:
        tag, untag, listed, get = (
            getattr(iam, call)
            for call in (f"tag_{kind}", f"untag_{kind}", f"list_{kind}_tags", f"get_{kind}")
        )
        (shown,) = (value for key, value in get(**name).items() if key != "ResponseMetadata")
        assert shown["Tags"] == tags
        tag(**name, Tags=[{"Key": "a", "Value": "2"}, {"Key": "c", "Value": "3"}])
        untag(**name, TagKeys=["b", "nothing"])
        assert listed(**name)["Tags"] == [{"Key": "a", "Value": "2"}, {"Key": "c", "Value": "3"}]
        first = listed(**name, MaxItems=1)
        assert (first["Tags"][0]["Key"], first["IsTruncated"]) == ("a", True)
        second = listed(**name, MaxItems=1, Marker=first["Marker"])
        assert (second["Tags"][0]["Key"], second["IsTruncated"]) == ("c", False)
        twice = [{"Key": "x", "Value": "1"}, {"Key": "X", "Value": "2"}]
        assert refused(tag, **name, Tags=twice)[0] == "InvalidInput"
        reserved = [{"Key": "aws:x", "Value": "1"}]
        assert refused(tag, **name, Tags=reserved)[0] == "InvalidInput"
        many = [{"Key": f"k{number}", "Value": ""} for number in range(49)]
        assert refused(tag, **name, Tags=many)[0] == "LimitExceeded"
        untag(**name, TagKeys=["a", "c"])
        assert listed(**name)["Tags"] == []


def test_lists_are_paged(iam: Any) -> None:
    names = [f"Page{number:02d}" for number in range(25)]
    for name in names:
        role(iam, name, Path="/paged/")
        iam.create_user(UserName=name, Path="/paged/")
    role(iam, "page-elsewhere")

    def listed(operation: str, member: str, name: str, size: int) -> list[str]:
        pages = iam.get_paginator(operation).paginate(
            PathPrefix="/paged/", PaginationConfig={"PageSize": size}
        )
        return [one[name] for page in pages for one in page[member]]

    for size in (1, 7, 25, 100):
        assert listed("list_roles", "Roles", "RoleName", size) == names
        assert listed("list_users", "Users", "UserName", size) == names
    page = iam.list_roles(PathPrefix="/paged/", MaxItems=25)
    assert page["IsTruncated"] is False
    assert "Marker" not in page
    assert refused(iam.list_roles, Marker="bad")[0] == "ValidationError"


def test_each_role_once_while_others_come_and_go(iam: Any) -> None:
    kept = [f"stay{number:02d}" for number in range(12)]
    for name in kept:
        role(iam, name, Path="/concurrent/")
    seen: list[str] = []
    marker: dict[str, str] = {}
    for turn in itertools.count():
        page = iam.list_roles(PathPrefix="/concurrent/", MaxItems=3, **marker)
        seen += [one["RoleName"] for one in page["Roles"]]
        if turn < 5:
            role(iam, f"stax{turn}", Path="/concurrent/")
            role(iam, f"staz{turn}", Path="/concurrent/")
        elif turn < 10:
            iam.delete_role(RoleName=f"stax{turn - 5}")
        if not page["IsTruncated"]:
            break
        marker = {"Marker": page["Marker"]}
    assert len(seen) == len(set(seen))
    assert set(kept) <= set(seen)


def test_creating_at_the_same_time(iam: Any) -> None:
    def create(number: int) -> str:
        try:
            return role(iam, "contended" if number % 2 else "Contended")["RoleId"]  # type: ignore[no-any-return]
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(create, range(16)))
    assert results.count("EntityAlreadyExists") == 15


def test_a_role_cannot_go_while_it_is_given_a_policy(iam: Any) -> None:
    """Either the policy is there and the role stays, or neither: never a policy on no role."""
    arn = iam.create_policy(PolicyName="raced", PolicyDocument=DOCUMENT)["Policy"]["Arn"]

    def attach(name: str) -> bool:
        try:
            iam.attach_role_policy(RoleName=name, PolicyArn=arn)
        except ClientError:
            return False
        return True

    def delete(name: str) -> bool:
        try:
            iam.delete_role(RoleName=name)
        except ClientError:
            return False
        return True

    for number in range(10):
        name = f"raced{number}"
        role(iam, name)
        with ThreadPoolExecutor(2) as pool:
            attached, deleted = pool.submit(attach, name), pool.submit(delete, name)
        assert attached.result() != deleted.result()
    entities = iam.list_entities_for_policy(PolicyArn=arn)["PolicyRoles"]
    assert iam.get_policy(PolicyArn=arn)["Policy"]["AttachmentCount"] == len(entities)


def test_users_and_groups(iam: Any) -> None:
    iam.create_user(UserName="member")
    for number in range(3):
        iam.create_group(GroupName=f"group{number}")
        iam.add_user_to_group(GroupName=f"group{number}", UserName="member")
    iam.add_user_to_group(GroupName="group0", UserName="member")
    groups = iam.list_groups_for_user(UserName="member", MaxItems=2)
    assert [group["GroupName"] for group in groups["Groups"]] == ["group0", "group1"]
    rest = iam.list_groups_for_user(UserName="member", Marker=groups["Marker"])
    assert [group["GroupName"] for group in rest["Groups"]] == ["group2"]
    got = iam.get_group(GroupName="group0")
    assert (got["Group"]["GroupName"], got["Users"][0]["UserName"]) == ("group0", "member")
    conflict = ("DeleteConflict", "Cannot delete entity, must remove users from group first.")
    assert refused(iam.delete_group, GroupName="group0") == conflict
    assert refused(iam.delete_user, UserName="member") == conflict
    iam.update_user(UserName="member", NewUserName="Renamed")
    assert iam.get_group(GroupName="group1")["Users"][0]["UserName"] == "Renamed"
    iam.update_group(GroupName="group1", NewGroupName="other", NewPath="/x/")
    assert iam.get_group(GroupName="other")["Group"]["Arn"].endswith(":group/x/other")
    for group in ("group0", "other", "group2"):
        iam.remove_user_from_group(GroupName=group, UserName="Renamed")
        iam.delete_group(GroupName=group)
    iam.delete_user(UserName="Renamed")
    assert refused(iam.get_user, UserName="Renamed") == (
        "NoSuchEntity",
        "The user with name Renamed cannot be found.",
    )
    assert refused(iam.get_group, GroupName="other") == (
        "NoSuchEntity",
        "The group with name other cannot be found.",
    )


def test_a_user_keeps_all_when_renamed(iam: Any) -> None:
    iam.create_user(UserName="before", Tags=[{"Key": "a", "Value": "b"}], PermissionsBoundary=BASIC)
    iam.put_user_policy(UserName="before", PolicyName="in", PolicyDocument=DOCUMENT)
    iam.attach_user_policy(UserName="before", PolicyArn=BASIC)
    key = iam.create_access_key(UserName="before")["AccessKey"]["AccessKeyId"]
    iam.create_user(UserName="taken")
    assert refused(iam.update_user, UserName="before", NewUserName="taken") == (
        "EntityAlreadyExists",
        "User with name taken already exists.",
    )
    iam.update_user(UserName="before", NewUserName="After", NewPath="/q/")
    user = iam.get_user(UserName="After")["User"]
    assert user["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/q/After"
    assert user["Tags"] == [{"Key": "a", "Value": "b"}]
    assert user["PermissionsBoundary"]["PermissionsBoundaryArn"] == BASIC
    assert iam.list_user_policies(UserName="After")["PolicyNames"] == ["in"]
    assert iam.get_user_policy(UserName="After", PolicyName="in")["UserName"] == "After"
    assert len(iam.list_attached_user_policies(UserName="After")["AttachedPolicies"]) == 1
    (metadata,) = iam.list_access_keys(UserName="After")["AccessKeyMetadata"]
    assert (metadata["AccessKeyId"], metadata["UserName"]) == (key, "After")
    assert iam.get_access_key_last_used(AccessKeyId=key)["UserName"] == "After"
    iam.update_user(UserName="After", NewUserName="AFTER")
    assert iam.get_user(UserName="after")["User"]["UserName"] == "AFTER"
    assert iam.list_user_policies(UserName="AFTER")["PolicyNames"] == ["in"]
    assert refused(iam.get_user, UserName="before")[0] == "NoSuchEntity"


def test_access_keys(iam: Any, server: ThreadServer) -> None:
    iam.create_user(UserName="keyed")
    first = iam.create_access_key(UserName="keyed")["AccessKey"]
    assert (first["AccessKeyId"][:4], len(first["AccessKeyId"])) == ("AKIA", 20)
    assert (first["Status"], len(first["SecretAccessKey"])) == ("Active", 40)
    iam.create_access_key(UserName="keyed")
    assert refused(iam.create_access_key, UserName="keyed") == (
        "LimitExceeded",
        "Cannot exceed quota for AccessKeysPerUser: 2",
    )
    own = server.client("iam", key=first["AccessKeyId"], secret=first["SecretAccessKey"])
    assert own.get_user()["User"]["UserName"] == "keyed"
    assert len(own.list_access_keys()["AccessKeyMetadata"]) == 2
    own.update_access_key(AccessKeyId=first["AccessKeyId"], Status="Inactive")
    statuses = [
        one["Status"] for one in iam.list_access_keys(UserName="keyed")["AccessKeyMetadata"]
    ]
    assert sorted(statuses) == ["Active", "Inactive"]
    assert refused(
        iam.update_access_key, UserName="keyed", AccessKeyId=first["AccessKeyId"], Status="Odd"
    ) == (
        "ValidationError",
        "1 validation error detected: Value at 'status' failed to satisfy constraint: Member must "
        "satisfy enum value set",
    )
    assert refused(iam.delete_user, UserName="keyed") == (
        "DeleteConflict",
        "Cannot delete entity, must delete access keys first.",
    )
    missing = "AKIAIOSFODNN7EXAMPLE"
    assert refused(iam.delete_access_key, UserName="keyed", AccessKeyId=missing) == (
        "NoSuchEntity",
        f"The Access Key with id {missing} cannot be found.",
    )
    assert refused(iam.get_access_key_last_used, AccessKeyId=missing)[0] == "AccessDenied"


def test_the_account_itself(server: ThreadServer) -> None:
    iam = server.client("iam", account="444444444444")
    assert iam.get_user()["User"]["Arn"] == "arn:aws:iam::444444444444:root"
    key = iam.create_access_key()["AccessKey"]["AccessKeyId"]
    assert [one["AccessKeyId"] for one in iam.list_access_keys()["AccessKeyMetadata"]] == [key]
    summary = iam.get_account_summary()["SummaryMap"]
    assert (summary["AccountAccessKeysPresent"], summary["Roles"]) == (1, 0)
    iam.create_account_alias(AccountAlias="ours")
    iam.create_account_alias(AccountAlias="ours-now")
    assert iam.list_account_aliases()["AccountAliases"] == ["ours-now"]
    other = server.client("iam", account="555555555555")
    assert refused(other.create_account_alias, AccountAlias="ours-now")[0] == "EntityAlreadyExists"
    other.create_account_alias(AccountAlias="ours")
    assert refused(iam.delete_account_alias, AccountAlias="ours")[0] == "NoSuchEntity"
    iam.delete_account_alias(AccountAlias="ours-now")
    assert iam.list_account_aliases()["AccountAliases"] == []


def test_instance_profiles(iam: Any) -> None:
    name = {"InstanceProfileName": "profile"}
    iam.create_instance_profile(**name)
    role(iam, "profiled")
    iam.add_role_to_instance_profile(**name, RoleName="profiled")
    (held,) = iam.get_instance_profile(**name)["InstanceProfile"]["Roles"]
    assert held["AssumeRolePolicyDocument"] == json.loads(TRUST)
    assert refused(iam.add_role_to_instance_profile, **name, RoleName="profiled") == (
        "LimitExceeded",
        "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1",
    )
    (found,) = iam.list_instance_profiles_for_role(RoleName="profiled")["InstanceProfiles"]
    assert found["InstanceProfileName"] == "profile"
    must = "Cannot delete entity, must remove roles from instance profile first."
    assert refused(iam.delete_role, RoleName="profiled") == ("DeleteConflict", must)
    assert refused(iam.delete_instance_profile, **name) == ("DeleteConflict", must)
    iam.remove_role_from_instance_profile(**name, RoleName="profiled")
    assert refused(iam.remove_role_from_instance_profile, **name, RoleName="profiled")[0] == (
        "NoSuchEntity"
    )
    iam.delete_role(RoleName="profiled")
    iam.delete_instance_profile(**name)
    assert refused(iam.get_instance_profile, **name) == (
        "NoSuchEntity",
        "Instance Profile profile cannot be found.",
    )


def test_a_service_role_is_only_the_services(iam: Any) -> None:
    service = "lambda.application-autoscaling.amazonaws.com"
    name = iam.create_service_linked_role(AWSServiceName=service)["Role"]["RoleName"]
    for call, more in (
        (iam.delete_role, {}),
        (iam.update_role, {"Description": "x"}),
        (iam.update_assume_role_policy, {"PolicyDocument": TRUST}),
        (iam.attach_role_policy, {"PolicyArn": BASIC}),
        (iam.put_role_policy, {"PolicyName": "p", "PolicyDocument": DOCUMENT}),
        (iam.put_role_permissions_boundary, {"PermissionsBoundary": BASIC}),
    ):
        assert refused(call, RoleName=name, **more)[0] == "UnmodifiableEntity"
    assert refused(iam.create_service_linked_role, AWSServiceName="no.amazonaws.com")[0] == (
        "InvalidInput"
    )
    assert refused(
        iam.create_service_linked_role, AWSServiceName="ecs.amazonaws.com", CustomSuffix="x"
    ) == ("InvalidInput", "Custom suffix is not allowed for ecs.amazonaws.com")
    role(iam, "ordinary")
    assert refused(iam.delete_service_linked_role, RoleName="ordinary")[0] == "NoSuchEntity"


def test_what_is_not_served(iam: Any) -> None:
    assert (
        refused(
            iam.simulate_custom_policy, PolicyInputList=[DOCUMENT], ActionNames=["s3:GetObject"]
        )[0]
        == "NotImplemented"
    )
