"""IAM's answers compared with AWS's, member for member. What cannot apply is named below."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.recordings import FOLDER, Recording
from tests.servers import ThreadServer

FILE, CLOUDFORMATION = "iam/iam.json", "iam/resource_providers/iam.json"
BASIC_USER = "iam/resource_providers/aws_iam_user/basic_user.json"
ACCOUNT = "111111111111"

EXCEPTIONS = {
    "TestIAMIntegrations::test_simulate_principle_policy[group]": "policies are not evaluated yet",
    "TestIAMIntegrations::test_simulate_principle_policy[role]": "policies are not evaluated yet",
    "TestIAMIntegrations::test_simulate_principle_policy[user]": "policies are not evaluated yet",
    "TestIAMServiceSpecificCredentials::test_create_service_specific_credential_invalid_service":
        "service specific credentials are not served: nothing here would accept them",
    "TestIAMServiceSpecificCredentials::test_create_service_specific_credential_invalid_user":
        "service specific credentials are not served",
    "TestIAMServiceSpecificCredentials::test_invalid_update_parameters":
        "service specific credentials are not served",
    "TestIAMServiceSpecificCredentials::test_list_service_specific_credential_different_service":
        "service specific credentials are not served",
}  # fmt: skip

USED = ("kafka", "rds", "resource-explorer-2", "ssm", "sso")
"""The services that had used their roles before the recording, so that RoleLastUsed was not empty;
here nobody uses them. All else of those five is compared."""

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason=f"no recordings at {FOLDER}")


def scenarios(file: str) -> list[str]:
    path = FOLDER / file
    return list(json.loads(path.read_text())) if path.exists() else []


LIFECYCLES = [one for one in scenarios(FILE) if "::test_service_role_lifecycle" in one]


def trust(service: Any, action: Any = "sts:AssumeRole") -> str:
    statement = {"Action": action, "Principal": {"Service": service}, "Effect": "Allow"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def iam(server: ThreadServer) -> Any:
    return server.client("iam", account=ACCOUNT)


def refused(call: Callable[..., Any], **request: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    response: dict[str, Any] = caught.value.response
    return response


def recording(scenario: str, file: str = FILE) -> Recording:
    return Recording(file, scenario)


def test_a_role_with_a_malformed_trust_policy(iam: Any) -> None:
    recorded = recording(
        "TestIAMExtensions::test_create_role_with_malformed_assume_role_policy_document"
    )
    answer = refused(iam.create_role, RoleName="malformed", AssumeRolePolicyDocument="{not json")
    recorded.match("invalid-json", answer)
    recorded.done()


def test_a_role_with_a_path(iam: Any) -> None:
    recorded = recording("TestIAMExtensions::test_role_with_path_lifecycle")
    recorded.bindings["<path>"] = "/some/path/"  # in the ARN it stands next to another one
    document = trust("lambda.amazonaws.com")
    created = iam.create_role(
        RoleName="pathed", AssumeRolePolicyDocument=document, Path="/some/path/"
    )
    recorded.match("create-role-response", created)
    recorded.match("get-role-response", iam.get_role(RoleName="pathed"))
    recorded.match("delete-role-response", iam.delete_role(RoleName="pathed"))
    recorded.done()


def test_describing_a_role(iam: Any) -> None:
    recorded = recording("TestIAMIntegrations::test_create_describe_role")
    document = trust("ec2.amazonaws.com")
    created = iam.create_role(
        RoleName="described", AssumeRolePolicyDocument=document, Path="/prefix/"
    )
    recorded.match("create_role_result", created)
    recorded.match("get_role_result", iam.get_role(RoleName="described"))
    recorded.match("list_roles_result", iam.list_roles(PathPrefix="/prefix/"))
    recorded.done()
    iam.delete_role(RoleName="described")


def test_deleting_a_policy_that_is_not_there(iam: Any) -> None:
    recorded = recording(
        "TestIAMIntegrations::test_delete_non_existent_policy_returns_no_such_entity"
    )
    arn = f"arn:aws:iam::{ACCOUNT}:policy/non-existent-policy"
    recorded.match("delete-non-existent-policy-exc", refused(iam.delete_policy, PolicyArn=arn))
    recorded.done()


def test_updating_a_trust_policy(iam: Any) -> None:
    recorded = recording("TestIAMIntegrations::test_update_assume_role_policy")
    document = trust(["ec2.amazonaws.com"], ["sts:AssumeRole"])
    created = iam.create_role(RoleName="trusting", AssumeRolePolicyDocument=document)
    recorded.match("created_role", created)
    updated = iam.update_assume_role_policy(RoleName="trusting", PolicyDocument=document)
    recorded.match("updated_policy", updated)
    recorded.done()


def test_attaching_a_policy_to_a_user(iam: Any) -> None:
    recorded = recording("TestIAMIntegrations::test_user_attach_policy")
    statement = {"Sid": "1", "Effect": "Allow", "Action": "iam:ListUsers", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.create_user(UserName="attaching")
    created = iam.create_policy(PolicyName="a-policy-with-a-long-name", PolicyDocument=document)
    recorded.match("create_policy_response", created)
    arn = created["Policy"]["Arn"]

    def attach(arn: str) -> dict[str, Any]:
        return refused(iam.attach_user_policy, UserName="attaching", PolicyArn=arn)

    recorded.match("non_existent_malformed_policy_arn", attach("longpolicynamebutnoarn"))
    recorded.match("existing_policy_name_provided", attach("a-policy-with-a-long-name"))
    recorded.match("valid_arn_not_existent", attach(f"{arn}123"))
    attached = iam.attach_user_policy(UserName="attaching", PolicyArn=arn)
    recorded.match("valid_policy_arn", attached)
    recorded.done()


ENCODED = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Action": ["apigatway:PUT"],
            "Effect": "Allow",
            "Resource": [
                "arn:aws:apigateway:us-east-1::/tags/"
                "arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Faaeeieije"
            ],
        }
    ],
}


@pytest.mark.parametrize("kind", ["group", "user"])
def test_the_encoding_of_inline_policies(iam: Any, kind: str) -> None:
    recorded = recording(f"TestIAMPolicyEncoding::test_put_{kind}_policy_encoding")
    name = {f"{kind.title()}Name": f"encoded-{kind}"}
    getattr(iam, f"create_{kind}")(**name)
    put, get = getattr(iam, f"put_{kind}_policy"), getattr(iam, f"get_{kind}_policy")
    put(**name, PolicyName="encoded", PolicyDocument=json.dumps(ENCODED))
    recorded.match("get-policy-response", get(**name, PolicyName="encoded"))
    recorded.done()


def test_the_encoding_of_a_roles_policies(iam: Any) -> None:
    recorded = recording("TestIAMPolicyEncoding::test_put_role_policy_encoding")
    recorded.bindings["<path:1>"] = "/encoded/"
    source = "arn%3Aaws%3Aapigateway%3Aus-east-1%3A%3A%2Frestapis%2Faaeeieije"
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "lambda.amazonaws.com"},
                "Effect": "Allow",
                "Condition": {"StringEquals": {"aws:SourceArn": source}},
            }
        ],
    }
    name = {"RoleName": "encoded-role"}
    created = iam.create_role(
        **name, AssumeRolePolicyDocument=json.dumps(document), Path="/encoded/"
    )
    recorded.match("create-role-response", created)
    iam.put_role_policy(**name, PolicyName="encoded", PolicyDocument=json.dumps(ENCODED))
    recorded.match("get-policy-response", iam.get_role_policy(**name, PolicyName="encoded"))
    recorded.match("get-role-response", iam.get_role(**name))
    recorded.match("list-roles-response", iam.list_roles(PathPrefix="/encoded/"))
    recorded.done()


def test_a_service_role_that_exists(iam: Any) -> None:
    recorded = recording("TestIAMServiceRoles::test_service_role_already_exists")
    iam.create_service_linked_role(AWSServiceName="batch.amazonaws.com")
    answer = refused(iam.create_service_linked_role, AWSServiceName="batch.amazonaws.com")
    recorded.match("role-already-exists-error", answer)
    recorded.done()
    iam.delete_service_linked_role(RoleName="AWSServiceRoleForBatch")


@pytest.mark.parametrize("scenario", LIFECYCLES)
def test_the_life_of_a_service_role(iam: Any, scenario: str) -> None:
    recorded = recording(scenario)
    service = scenario.partition("[")[2].removesuffix("]")
    suffix = {"CustomSuffix": "suffixed"} if "custom_suffix" in scenario else {}
    created = iam.create_service_linked_role(AWSServiceName=service, **suffix)
    name = created["Role"]["RoleName"]
    if service.removesuffix(".amazonaws.com") in USED:
        recorded.content["describe-response"]["Role"]["RoleLastUsed"] = {}
    recorded.match("describe-response", iam.get_role(RoleName=name))
    recorded.match("inline-role-policies", iam.list_role_policies(RoleName=name))
    recorded.match("attached-role-policies", iam.list_attached_role_policies(RoleName=name))
    recorded.done()
    task = iam.delete_service_linked_role(RoleName=name)["DeletionTaskId"]
    status = iam.get_service_linked_role_deletion_status(DeletionTaskId=task)
    assert status["Status"] == "SUCCEEDED"
    refused(iam.get_role, RoleName=name)


def test_every_scenario_is_compared_or_named() -> None:
    """What is not compared above is in EXCEPTIONS, with the reason."""
    source = Path(__file__).read_text()
    left = [
        one
        for one in scenarios(FILE)
        if one not in EXCEPTIONS and one not in LIFECYCLES and one.partition("[")[0] not in source
    ]
    assert [one for one in left if "_policy_encoding" not in one] == []
