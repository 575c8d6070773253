"""Policies by boto3: managed, their versions, attached, inline, boundaries, AWS's own."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.services.iam.aws_managed import KNOWN
from lambent.services.iam.documents import check_managed
from tests.servers import ACCOUNT, ThreadServer
from tests.services.iam.test_entities import BASIC, DOCUMENT, refused, role


@pytest.fixture
def iam(server: ThreadServer) -> Any:
    return server.client("iam", parameter_validation=False)


def document(action: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def managed(iam: Any, name: str, **more: Any) -> str:
    made = iam.create_policy(PolicyName=name, PolicyDocument=DOCUMENT, **more)
    arn: str = made["Policy"]["Arn"]
    return arn


def test_versions(iam: Any) -> None:
    arn = managed(iam, "versioned", Path="/v/")
    assert arn == f"arn:aws:iam::{ACCOUNT}:policy/v/versioned"
    for number in range(2, 6):
        made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=document(f"s3:A{number}"))
        assert (made["PolicyVersion"]["VersionId"], made["PolicyVersion"]["IsDefaultVersion"]) == (
            f"v{number}",
            False,
        )
        assert "Document" not in made["PolicyVersion"]
    code, text = refused(iam.create_policy_version, PolicyArn=arn, PolicyDocument=DOCUMENT)
    assert code == "LimitExceeded"
    assert text.startswith("A managed policy can have up to 5 versions.")
    pages = iam.get_paginator("list_policy_versions").paginate(
        PolicyArn=arn, PaginationConfig={"PageSize": 2}
    )
    ids = [version["VersionId"] for page in pages for version in page["Versions"]]
    assert ids == ["v5", "v4", "v3", "v2", "v1"]
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v3")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v3"
    got = iam.get_policy_version(PolicyArn=arn, VersionId="v3")["PolicyVersion"]
    assert (got["IsDefaultVersion"], got["Document"]["Statement"]["Action"]) == (True, "s3:A3")
    assert refused(iam.delete_policy_version, PolicyArn=arn, VersionId="v3") == (
        "DeleteConflict",
        "Cannot delete the default version of a policy.",
    )
    assert refused(iam.delete_policy, PolicyArn=arn)[1].startswith(
        "This policy has more than one version."
    )
    for number in (1, 2, 4, 5):
        iam.delete_policy_version(PolicyArn=arn, VersionId=f"v{number}")
    made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=DOCUMENT, SetAsDefault=True)
    assert made["PolicyVersion"]["VersionId"] == "v6"
    iam.delete_policy_version(PolicyArn=arn, VersionId="v3")
    iam.delete_policy(PolicyArn=arn)
    assert refused(iam.get_policy, PolicyArn=arn) == (
        "NoSuchEntity",
        f"Policy {arn} was not found.",
    )
    again = managed(iam, "versioned")
    assert iam.list_policy_versions(PolicyArn=again)["Versions"][0]["VersionId"] == "v1"
    assert refused(iam.get_policy, PolicyArn=arn)[0] == "NoSuchEntity"


def test_attachments_are_counted(iam: Any) -> None:
    arn = managed(iam, "attached")
    role(iam, "attachee")
    iam.create_user(UserName="attachee")
    iam.create_group(GroupName="attachee")
    for _ in range(2):
        iam.attach_role_policy(RoleName="attachee", PolicyArn=arn)
    iam.attach_user_policy(UserName="attachee", PolicyArn=arn)
    iam.attach_group_policy(GroupName="attachee", PolicyArn=arn)
    iam.put_user_permissions_boundary(UserName="attachee", PermissionsBoundary=arn)
    policy = iam.get_policy(PolicyArn=arn)["Policy"]
    assert (policy["AttachmentCount"], policy["PermissionsBoundaryUsageCount"]) == (3, 1)
    found = iam.list_entities_for_policy(PolicyArn=arn)
    assert [len(found[f"Policy{kind}s"]) for kind in ("Role", "User", "Group")] == [1, 1, 1]
    only = iam.list_entities_for_policy(PolicyArn=arn, PolicyUsageFilter="PermissionsBoundary")
    assert [one["UserName"] for one in only["PolicyUsers"]] == ["attachee"]
    assert (only["PolicyRoles"], only["PolicyGroups"]) == ([], [])
    first = iam.list_entities_for_policy(PolicyArn=arn, MaxItems=1)
    assert (first["IsTruncated"], len(first["PolicyGroups"])) == (True, 1)
    assert refused(iam.delete_policy, PolicyArn=arn) == (
        "DeleteConflict",
        "Cannot delete a policy attached to entities.",
    )
    iam.detach_role_policy(RoleName="attachee", PolicyArn=arn)
    assert refused(iam.detach_role_policy, RoleName="attachee", PolicyArn=arn) == (
        "NoSuchEntity",
        f"Policy {arn} was not found.",
    )
    iam.detach_user_policy(UserName="attachee", PolicyArn=arn)
    iam.detach_group_policy(GroupName="attachee", PolicyArn=arn)
    assert refused(iam.delete_policy, PolicyArn=arn)[0] == "DeleteConflict"
    iam.delete_user_permissions_boundary(UserName="attachee")
    assert "PermissionsBoundary" not in iam.get_user(UserName="attachee")["User"]
    iam.delete_policy(PolicyArn=arn)


def test_attachments_are_listed_and_limited(iam: Any) -> None:
    role(iam, "limited")
    arns = [managed(iam, f"limited{number}", Path="/l/") for number in range(11)]
    for arn in arns[:10]:
        iam.attach_role_policy(RoleName="limited", PolicyArn=arn)
    assert refused(iam.attach_role_policy, RoleName="limited", PolicyArn=arns[10]) == (
        "LimitExceeded",
        "Cannot exceed quota for PoliciesPerRole: 10",
    )
    iam.detach_role_policy(RoleName="limited", PolicyArn=arns[9])
    iam.attach_role_policy(RoleName="limited", PolicyArn=BASIC)
    pages = iam.get_paginator("list_attached_role_policies").paginate(
        RoleName="limited", PaginationConfig={"PageSize": 3}
    )
    found = [one["PolicyArn"] for page in pages for one in page["AttachedPolicies"]]
    assert sorted(found) == sorted([*arns[:9], BASIC])
    under = iam.list_attached_role_policies(RoleName="limited", PathPrefix="/service-role/")
    assert under["AttachedPolicies"] == [
        {"PolicyArn": BASIC, "PolicyName": "AWSLambdaBasicExecutionRole"}
    ]


def test_policies_of_aws(iam: Any) -> None:
    for policy in KNOWN.values():
        check_managed(policy.document)
    got = iam.get_policy(PolicyArn=BASIC)["Policy"]
    assert (got["PolicyName"], got["DefaultVersionId"]) == ("AWSLambdaBasicExecutionRole", "v1")
    version = iam.get_policy_version(PolicyArn=BASIC, VersionId="v1")["PolicyVersion"]
    assert "logs:PutLogEvents" in version["Document"]["Statement"][0]["Action"]
    role(iam, "other-of-aws")
    unknown = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    iam.attach_role_policy(RoleName="other-of-aws", PolicyArn=unknown)
    assert refused(iam.get_policy, PolicyArn=unknown)[0] == "NoSuchEntity"
    for call, more in (
        (iam.delete_policy, {}),
        (iam.create_policy_version, {"PolicyDocument": DOCUMENT}),
        (iam.tag_policy, {"Tags": [{"Key": "a", "Value": "b"}]}),
    ):
        assert refused(call, PolicyArn=BASIC, **more) == (
            "InvalidInput",
            "Policy is outside your own account.",
        )


def test_lists_of_policies(server: ThreadServer) -> None:
    iam = server.client("iam", account="666666666666")
    for number in range(5):
        managed(iam, f"L{number}", Description="d")

    def listed(size: int = 100, **request: Any) -> list[str]:
        pages = iam.get_paginator("list_policies").paginate(
            **request, PaginationConfig={"PageSize": size}
        )
        return [one["PolicyName"] for page in pages for one in page["Policies"]]

    own = [f"L{number}" for number in range(5)]
    for size in (1, 2, 100):
        assert listed(size, Scope="Local") == own
        assert set(listed(size)) == {*own, *(policy.name for policy in KNOWN.values())}
    assert "L0" not in listed(Scope="AWS")
    iam.create_user(UserName="u")
    iam.attach_user_policy(UserName="u", PolicyArn="arn:aws:iam::666666666666:policy/L3")
    iam.put_user_permissions_boundary(UserName="u", PermissionsBoundary=BASIC)
    assert listed(OnlyAttached=True) == ["L3"]
    bounding = listed(PolicyUsageFilter="PermissionsBoundary")
    assert bounding == ["AWSLambdaBasicExecutionRole"]
    assert set(listed(PathPrefix="/service-role/")) >= {"AWSLambdaBasicExecutionRole"}
    assert "Description" not in iam.list_policies(Scope="Local")["Policies"][0]
    assert (
        "Description" in iam.get_policy(PolicyArn="arn:aws:iam::666666666666:policy/L3")["Policy"]
    )


@pytest.mark.parametrize("kind", ["Role", "User", "Group"])
def test_inline_policies(iam: Any, kind: str) -> None:
    name = {f"{kind}Name": "inlined"}
    if kind == "Role":
        role(iam, "inlined")
    else:
        getattr(iam, f"create_{kind.lower()}")(**name)
    put, get, listed, delete = (
        getattr(iam, call.format(kind.lower()))
        for call in ("put_{}_policy", "get_{}_policy", "list_{}_policies", "delete_{}_policy")
    )
    for number in range(3):
        put(**name, PolicyName=f"p{number}", PolicyDocument=document(f"s3:A{number}"))
    put(**name, PolicyName="p0", PolicyDocument=document("s3:B"))
    got = get(**name, PolicyName="p0")
    assert got[f"{kind}Name"] == "inlined"
    assert got["PolicyDocument"]["Statement"]["Action"] == "s3:B"
    first = listed(**name, MaxItems=2)
    assert (first["PolicyNames"], first["IsTruncated"]) == (["p0", "p1"], True)
    assert listed(**name, Marker=first["Marker"])["PolicyNames"] == ["p2"]
    delete(**name, PolicyName="p1")
    missing = ("NoSuchEntity", f"The {kind.lower()} policy with name p1 cannot be found.")
    assert refused(get, **name, PolicyName="p1") == missing
    assert refused(delete, **name, PolicyName="p1") == missing
    assert refused(put, **name, PolicyName="p3", PolicyDocument="{")[0] == "MalformedPolicyDocument"
    big = document("s3:" + "x" * 11_000)
    code, text = refused(put, **name, PolicyName="p3", PolicyDocument=big)
    assert (code, text.endswith(f"exceeded for {kind.lower()} inlined")) == ("LimitExceeded", True)


def test_boundaries(iam: Any) -> None:
    arn = managed(iam, "boundary")
    made = role(iam, "bounded", PermissionsBoundary=arn)
    wanted = {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    assert made["PermissionsBoundary"] == wanted
    assert iam.get_role(RoleName="bounded")["Role"]["PermissionsBoundary"] == wanted
    iam.put_role_permissions_boundary(RoleName="bounded", PermissionsBoundary=BASIC)
    got = iam.get_role(RoleName="bounded")["Role"]
    assert got["PermissionsBoundary"]["PermissionsBoundaryArn"] == BASIC
    gone = f"{arn}x"
    assert (
        refused(iam.put_role_permissions_boundary, RoleName="bounded", PermissionsBoundary=gone)[0]
        == "NoSuchEntity"
    )
    for _ in range(2):
        iam.delete_role_permissions_boundary(RoleName="bounded")
    iam.put_role_permissions_boundary(RoleName="bounded", PermissionsBoundary=arn)
    iam.delete_role(RoleName="bounded")
    assert iam.get_policy(PolicyArn=arn)["Policy"]["PermissionsBoundaryUsageCount"] == 0
    iam.delete_policy(PolicyArn=arn)


def test_sizes(iam: Any) -> None:
    big = document("s3:" + "x" * 6_200)
    assert refused(iam.create_policy, PolicyName="big", PolicyDocument=big) == (
        "LimitExceeded",
        "Cannot exceed quota for PolicySize: 6144",
    )
    wide = document("s3:Get").replace(" ", " " * 1_000)
    iam.create_policy(PolicyName="wide", PolicyDocument=wide)
    principal = {"AWS": [f"arn:aws:iam::{number:012d}:root" for number in range(100)]}
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": statement})
    assert refused(iam.create_role, RoleName="big", AssumeRolePolicyDocument=trust) == (
        "LimitExceeded",
        "Cannot exceed quota for ACLSizePerRole: 2048",
    )


def test_policies_survive_kill_9(lambent_process: Callable[..., Any]) -> None:
    process = lambent_process()
    iam = process.client("iam")
    arn = managed(iam, "durable")
    role(iam, "durable")
    iam.attach_role_policy(RoleName="durable", PolicyArn=arn)
    process.kill()
    process.restart()
    iam = process.client("iam")
    (found,) = iam.list_attached_role_policies(RoleName="durable")["AttachedPolicies"]
    assert found["PolicyArn"] == arn
    with pytest.raises(ClientError):
        iam.delete_policy(PolicyArn=arn)
