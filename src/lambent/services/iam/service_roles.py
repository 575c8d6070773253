"""Service-linked roles: roles that AWS services make for themselves and nobody else may change.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/using-service-linked-roles.html
"""

import msgspec

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.traits import retried
from lambent.services.iam.aws_managed import PREFIX
from lambent.services.iam.entities import PROTECTED, entity
from lambent.services.iam.resources import ROLE, ROLE_TAGS, SESSION_S_USUAL
from lambent.services.iam.service_role_table import SERVICE_ROLES, SUFFIXED
from lambent.store.protocol import ABSENT, Conflict, Delete, Put

VERBS = Verbs()


def _trust(service: str) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
    }
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    return msgspec.json.encode(policy).decode()


def _name(service: str, request: Wire) -> str:
    if service not in SERVICE_ROLES:
        raise AwsError("InvalidInput", f"Service {service} is not a valid service-linked service.")
    suffix = request.get("CustomSuffix")
    if suffix is None:
        return SERVICE_ROLES[service].name
    if service not in SUFFIXED:
        raise AwsError("InvalidInput", f"Custom suffix is not allowed for {service}")
    return f"{SERVICE_ROLES[service].name}_{suffix}"


@VERBS.operation("CreateServiceLinkedRole")
async def create_service_linked_role(ctx: Ctx, request: Wire) -> Wire:
    """Make the role of a service, with its policy attached. Errors: InvalidInput.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateServiceLinkedRole.html
    """
    service = request["AWSServiceName"]
    name = _name(service, request)
    known = SERVICE_ROLES[service]
    made = {"RoleName": name, "Path": f"{PROTECTED}{service}/"}
    role: Wire = made | entity("role", "RoleName", "RoleId", "AROA")(ctx, made)
    role |= {
        "AssumeRolePolicyDocument": _trust(service),
        "MaxSessionDuration": SESSION_S_USUAL,
    }
    if description := request.get("Description", known.description):
        role["Description"] = description
    arn = f"{PREFIX}aws-service-role/{known.policy}"
    attached = {"PolicyArn": arn, "PolicyName": known.policy}
    folded = name.lower()
    try:
        await ctx.commit(
            Put(ROLE.key(ctx, role), role, expect=ABSENT),
            Put(ctx.key("Attachment", "Role", folded, arn), attached),
            Put(ctx.key("PolicyEntity", arn, "Role", folded), {"Name": name, "Id": role["RoleId"]}),
        )
    except Conflict:
        raise AwsError(
            "InvalidInput",
            f"Service role name {name} has been taken in this account, please try a different "
            "suffix.",
        ) from None
    return await ROLE.out(ctx, "create", role)


@VERBS.operation("DeleteServiceLinkedRole")
@retried
async def delete_service_linked_role(ctx: Ctx, request: Wire) -> Wire:
    """Delete the role of a service; here nothing can be using it. Errors: NoSuchEntity."""
    record = await ROLE.fetch(ctx, request)
    role = record.value
    if not role["Path"].startswith(PROTECTED):
        raise ROLE.missing.error(id=request["RoleName"])
    task = f"task{role['Path']}{role['RoleName']}/{ctx.platform.ids.uuid()}"
    attached = await ctx.store.scan(ctx.key("Attachment", "Role", role["RoleName"].lower()))
    back = [ctx.key("PolicyEntity", row.key[-1], "Role", row.key[-2]) for row in attached]
    gone = [Delete(key) for key in (*back, *(row.key for row in attached))]
    await ctx.commit(
        Delete(record.key, expect=record.version),
        *gone,
        ROLE_TAGS.change(ctx, role["Arn"], {}),
        Put(ctx.key("DeletionTask", task), {"Status": "SUCCEEDED"}),
    )
    return {"DeletionTaskId": task}


@VERBS.operation("GetServiceLinkedRoleDeletionStatus")
async def get_service_linked_role_deletion_status(ctx: Ctx, request: Wire) -> Wire:
    """How a deletion went. Errors: NoSuchEntity."""
    task = await ctx.get("DeletionTask", request["DeletionTaskId"])
    if task is None:
        raise AwsError(
            "NoSuchEntity", f"The deletion task {request['DeletionTaskId']} cannot be found."
        )
    return task.value
