"""IAM's nouns, declared: roles, users, groups, instance profiles, and their tags.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_Operations.html
"""

from collections.abc import Awaitable, Callable

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.kernel.traits import Missing, Resource, Verb
from lambent.services.iam import documents, inline
from lambent.services.iam.entities import (
    PAGED,
    delete_conflict,
    entity,
    no_such,
    over_quota,
    refuse_protected,
    tagging,
    taken,
    under_path,
)
from lambent.services.iam.limits import TRUST_POLICY_CHARS_MAX
from lambent.store.protocol import Change


def _arn_of(noun: str, member: str, missing: Missing) -> Callable[[Ctx, Wire], Awaitable[str]]:
    async def resolve(ctx: Ctx, request: Wire) -> str:
        record = await ctx.get(noun, request[member].lower())
        if record is None:
            raise missing.error(id=request[member])
        arn: str = record.value["Arn"]
        return arn

    return resolve


async def _empty(ctx: Ctx, kind: str, name: str) -> None:
    """Refuse to delete what still has policies. Errors: DeleteConflict."""
    if await ctx.store.scan(ctx.key("Attachment", kind, name.lower()), limit=1):
        raise delete_conflict("detach all policies")
    if await ctx.store.scan(ctx.key(f"{kind}Policy", name.lower()), limit=1):
        raise delete_conflict("delete policies")


# --- roles ---------------------------------------------------------------------------------------

_NO_ROLE = no_such("role")
ROLE_TAGS = tagging(_arn_of("Role", "RoleName", _NO_ROLE), "TagRole", "UntagRole", "ListRoleTags")
SESSION_S_USUAL = 3600


def check_trust(document: str) -> None:
    """Refuse what cannot be a trust policy. Errors: MalformedPolicyDocument, LimitExceeded."""
    documents.check_trust(document)
    if documents.size_chars(document) > TRUST_POLICY_CHARS_MAX:
        raise over_quota("ACLSizePerRole", TRUST_POLICY_CHARS_MAX)


def _new_role(ctx: Ctx, request: Wire) -> Wire:
    check_trust(request["AssumeRolePolicyDocument"])
    if request.get("Path", "/").startswith("/aws-service-role/"):
        raise AwsError(
            "ValidationError", "The value of Path must not begin with /aws-service-role/"
        )
    return entity("role", "RoleName", "RoleId", "AROA")(ctx, request) | {
        "MaxSessionDuration": request.get("MaxSessionDuration", SESSION_S_USUAL),
        "PermissionsBoundary": None,
    }


def _trusted(_ctx: Ctx, record: Wire, request: Wire) -> Wire:
    refuse_protected(record)
    check_trust(request["PolicyDocument"])
    return record | {"AssumeRolePolicyDocument": request["PolicyDocument"]}


def _changed_role(_ctx: Ctx, record: Wire, request: Wire) -> Wire:
    refuse_protected(record)
    return record | request


async def _without_role(ctx: Ctx, _request: Wire, record: Wire) -> tuple[Change, ...]:
    refuse_protected(record)
    name = record["RoleName"]
    if await ctx.store.scan(ctx.key("ProfileOfRole", name.lower()), limit=1):
        raise delete_conflict("remove roles from instance profile")
    await _empty(ctx, "Role", name)
    return await inline.without_boundary(ctx, "Role", name)


async def _role(ctx: Ctx, verb: Verb, record: Wire) -> Wire:
    shown = record | {
        "AssumeRolePolicyDocument": documents.encoded(record["AssumeRolePolicyDocument"])
    }
    match verb:
        case "create":
            del shown["MaxSessionDuration"]  # AWS answers a creation without it
        case "read":
            shown["RoleLastUsed"] = {}
    if verb != "list":
        shown |= await inline.boundary_of(ctx, "Role", record["RoleName"])
    return shown


ROLE = Resource(
    noun="Role",
    id="RoleName",
    missing=_NO_ROLE,
    exists=taken("Role"),
    create="CreateRole",
    read="GetRole",
    list="ListRoles",
    update="UpdateRole",
    updates={
        "UpdateAssumeRolePolicy": _trusted,
        "UpdateRoleDescription": _changed_role,
    },
    delete="DeleteRole",
    member="Role",
    items="Roles",
    keep=under_path,
    computed=_new_role,
    updated=_changed_role,
    extra=inline.new_boundary("Role", "RoleName"),
    removed=_without_role,
    shown=_role,
    tagging=ROLE_TAGS,
    arn="Arn",
    tags_shown=True,
    **PAGED,
)

# --- users ---------------------------------------------------------------------------------------

_NO_USER = no_such("user")
USER_TAGS = tagging(_arn_of("User", "UserName", _NO_USER), "TagUser", "UntagUser", "ListUserTags")


def _new_user(ctx: Ctx, request: Wire) -> Wire:
    return entity("user", "UserName", "UserId", "AIDA")(ctx, request) | {
        "PermissionsBoundary": None
    }


async def _without_user(ctx: Ctx, _request: Wire, record: Wire) -> tuple[Change, ...]:
    name = record["UserName"]
    if await ctx.store.scan(ctx.key("AccessKey", name.lower()), limit=1):
        raise delete_conflict("delete access keys")
    if await ctx.store.scan(ctx.key("GroupOfUser", name.lower()), limit=1):
        raise delete_conflict("remove users from group")
    await _empty(ctx, "User", name)
    return await inline.without_boundary(ctx, "User", name)


async def _user(ctx: Ctx, verb: Verb, record: Wire) -> Wire:
    if verb == "list":
        return record
    return record | await inline.boundary_of(ctx, "User", record["UserName"])


USER = Resource(
    noun="User",
    id="UserName",
    missing=_NO_USER,
    exists=taken("User"),
    create="CreateUser",
    list="ListUsers",
    delete="DeleteUser",
    member="User",
    items="Users",
    keep=under_path,
    computed=_new_user,
    extra=inline.new_boundary("User", "UserName"),
    removed=_without_user,
    shown=_user,
    tagging=USER_TAGS,
    arn="Arn",
    tags_shown=True,
    **PAGED,
)

# --- groups --------------------------------------------------------------------------------------


async def _without_group(ctx: Ctx, _request: Wire, record: Wire) -> tuple[Change, ...]:
    name = record["GroupName"]
    if await ctx.store.scan(ctx.key("UserOfGroup", name.lower()), limit=1):
        raise delete_conflict("remove users from group")
    await _empty(ctx, "Group", name)
    return ()


GROUP = Resource(
    noun="Group",
    id="GroupName",
    missing=no_such("group"),
    exists=taken("Group"),
    create="CreateGroup",
    list="ListGroups",
    delete="DeleteGroup",
    member="Group",
    items="Groups",
    keep=under_path,
    computed=entity("group", "GroupName", "GroupId", "AGPA"),
    removed=_without_group,
    **PAGED,
)

# --- instance profiles ---------------------------------------------------------------------------

_NO_PROFILE = Missing("NoSuchEntity", "Instance Profile {id} cannot be found.")
PROFILE_TAGS = tagging(
    _arn_of("InstanceProfile", "InstanceProfileName", _NO_PROFILE),
    "TagInstanceProfile",
    "UntagInstanceProfile",
    "ListInstanceProfileTags",
)


async def _empty_profile(_ctx: Ctx, _request: Wire, record: Wire) -> tuple[Change, ...]:
    if "RoleName" in record:
        raise delete_conflict("remove roles from instance profile")
    return ()


async def shown_profile(ctx: Ctx, _verb: Verb, record: Wire) -> Wire:
    """An instance profile with its role."""
    role = await ROLE.find(ctx, record) if "RoleName" in record else None
    return record | {"Roles": [await _role(ctx, "list", role.value)] if role else []}


INSTANCE_PROFILE = Resource(
    noun="InstanceProfile",
    id="InstanceProfileName",
    missing=_NO_PROFILE,
    exists=Missing("EntityAlreadyExists", "Instance Profile {id} already exists."),
    create="CreateInstanceProfile",
    read="GetInstanceProfile",
    list="ListInstanceProfiles",
    delete="DeleteInstanceProfile",
    member="InstanceProfile",
    items="InstanceProfiles",
    keep=under_path,
    computed=entity("instance-profile", "InstanceProfileName", "InstanceProfileId", "AIPA"),
    removed=_empty_profile,
    shown=shown_profile,
    tagging=PROFILE_TAGS,
    arn="Arn",
    tags_shown=True,
    **PAGED,
)
