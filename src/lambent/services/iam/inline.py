"""Documents on roles, users and groups: inline policies and permissions boundaries, declared.

The policy engine reads them where they lie: (account, aws-global, iam, "RolePolicy", role, policy)
holds `{RoleName, PolicyName, PolicyDocument}`, "RoleBoundary" holds `{PermissionsBoundary: arn}`;
names in keys are lower case.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.kernel.traits import Document, Missing
from lambent.services.iam import documents
from lambent.services.iam.entities import PAGED, no_such, refuse_protected
from lambent.services.iam.limits import (
    GROUP_INLINE_CHARS_MAX,
    ROLE_INLINE_CHARS_MAX,
    USER_INLINE_CHARS_MAX,
)
from lambent.services.iam.policies import attachable
from lambent.store.protocol import Change, Delete, Put, Record


def _holder(kind: str) -> Callable[[Ctx, Wire], Awaitable[Record]]:
    """The role, user or group that a request names. Errors: NoSuchEntity."""
    missing = no_such(kind.lower())

    async def fetch(ctx: Ctx, request: Wire) -> Record:
        name = request[f"{kind}Name"]
        record = await ctx.get(kind, name.lower())
        if record is None:
            raise missing.error(id=name)
        return record

    return fetch


async def writable_role(ctx: Ctx, request: Wire) -> None:
    """Refuse to change a role that is AWS's. Errors: UnmodifiableEntity."""
    record = await ctx.get("Role", request["RoleName"].lower())
    if record is not None:
        refuse_protected(record.value)


def _fits(kind: str, most: int) -> Callable[[Ctx, Wire], Awaitable[None]]:
    """Refuse a malformed policy, and one too many characters on one `kind`."""

    async def check(ctx: Ctx, request: Wire) -> None:
        documents.check_identity(request["PolicyDocument"])
        name, policy = request[f"{kind}Name"], request["PolicyName"]
        rows = await ctx.store.scan(ctx.key(f"{kind}Policy", name.lower()))
        others = (row.value for row in rows if row.key[-1] != policy.lower())
        texts = [request["PolicyDocument"], *(other["PolicyDocument"] for other in others)]
        if sum(map(documents.size_chars, texts)) > most:
            raise AwsError(
                "LimitExceeded",
                f"Maximum policy size of {most} bytes exceeded for {kind.lower()} {name}",
            )

    return check


def _encoded(document: Wire) -> Wire:
    return document | {"PolicyDocument": documents.encoded(document["PolicyDocument"])}


def _inline(kind: str, most: int) -> dict[str, Any]:
    """What the inline policies of a role, a user and a group share."""
    return PAGED | {
        "noun": f"{kind}Policy",
        "ids": (f"{kind}Name", "PolicyName"),
        "missing": Missing(
            "NoSuchEntity", f"The {kind.lower()} policy with name {{PolicyName}} cannot be found."
        ),
        "items": "PolicyNames",
        "parent": _holder(kind),
        "check": _fits(kind, most),
        "shown": _encoded,
    }


ROLE_POLICY = Document(
    put="PutRolePolicy",
    read="GetRolePolicy",
    list="ListRolePolicies",
    delete="DeleteRolePolicy",
    writable=writable_role,
    **_inline("Role", ROLE_INLINE_CHARS_MAX),
)
USER_POLICY = Document(
    put="PutUserPolicy",
    read="GetUserPolicy",
    list="ListUserPolicies",
    delete="DeleteUserPolicy",
    **_inline("User", USER_INLINE_CHARS_MAX),
)
GROUP_POLICY = Document(
    put="PutGroupPolicy",
    read="GetGroupPolicy",
    list="ListGroupPolicies",
    delete="DeleteGroupPolicy",
    **_inline("Group", GROUP_INLINE_CHARS_MAX),
)


# --- permissions boundaries ----------------------------------------------------------------------


async def _attachable(ctx: Ctx, request: Wire) -> None:
    await attachable(ctx, request["PermissionsBoundary"])


def _boundary(kind: str) -> dict[str, Any]:
    return {
        "noun": f"{kind}Boundary",
        "ids": (f"{kind}Name",),
        "missing": None,
        "forgiving": True,
        "fold": True,
        "parent": _holder(kind),
        "check": _attachable,
    }


ROLE_BOUNDARY = Document(
    put="PutRolePermissionsBoundary",
    delete="DeleteRolePermissionsBoundary",
    writable=writable_role,
    **_boundary("Role"),
)
USER_BOUNDARY = Document(
    put="PutUserPermissionsBoundary",
    delete="DeleteUserPermissionsBoundary",
    **_boundary("User"),
)


def new_boundary(kind: str, id: str) -> Callable[[Ctx, Wire, Wire], Awaitable[tuple[Change, ...]]]:
    """The boundary that a create request brings, as a change."""

    async def extra(ctx: Ctx, request: Wire, _record: Wire) -> tuple[Change, ...]:
        arn = request.get("PermissionsBoundary")
        if arn is None:
            return ()
        held = await attachable(ctx, arn)
        key = ctx.key(f"{kind}Boundary", request[id].lower())
        return Put(key, {id: request[id], "PermissionsBoundary": arn}), *held

    return extra


async def without_boundary(ctx: Ctx, kind: str, name: str) -> tuple[Change, ...]:
    """What removes an entity's boundary with it."""
    return (Delete(ctx.key(f"{kind}Boundary", name.lower())),)


async def boundary_of(ctx: Ctx, kind: str, name: str) -> Wire:
    """The `PermissionsBoundary` member of an entity, if it has one."""
    record = await ctx.get(f"{kind}Boundary", name.lower())
    if record is None:
        return {}
    arn = record.value["PermissionsBoundary"]
    return {
        "PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}
    }
