"""Who is in which group, and which role is in which instance profile.

A membership is two records, committed together: (GroupOfUser, user, group), which the policy
engine reads, and (UserOfGroup, group, user) for the way back.
"""

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.traits import held, listed, retried
from lambent.services.iam.entities import PAGED, PAGING, over_quota, refuse_protected
from lambent.services.iam.limits import GROUPS_PER_USER_MAX, LIST_USUAL
from lambent.services.iam.resources import GROUP, INSTANCE_PROFILE, ROLE, USER, shown_profile
from lambent.store.protocol import Delete, Key, Put, Record

VERBS = Verbs()


def membership(ctx: Ctx, user: str, group: str) -> tuple[Key, Key]:
    """Where a membership is stored, both ways."""
    return (
        ctx.key("GroupOfUser", user.lower(), group.lower()),
        ctx.key("UserOfGroup", group.lower(), user.lower()),
    )


@VERBS.operation("AddUserToGroup")
@retried
async def add_user_to_group(ctx: Ctx, request: Wire) -> Wire:
    """Put a user into a group, unless it is there. Errors: NoSuchEntity, LimitExceeded."""
    group, user = await GROUP.fetch(ctx, request), await USER.fetch(ctx, request)
    here, there = membership(ctx, user.value["UserName"], group.value["GroupName"])
    groups = await ctx.store.scan(here[:-1], limit=GROUPS_PER_USER_MAX + 1)
    if any(row.key == here for row in groups):
        return {}
    if len(groups) >= GROUPS_PER_USER_MAX:
        raise over_quota("GroupsPerUser", GROUPS_PER_USER_MAX)
    await ctx.commit(Put(here, {}), Put(there, {}), *held(group), *held(user))
    return {}


@VERBS.operation("RemoveUserFromGroup")
async def remove_user_from_group(ctx: Ctx, request: Wire) -> Wire:
    """Take a user out of a group. Errors: NoSuchEntity."""
    group, user = await GROUP.fetch(ctx, request), await USER.fetch(ctx, request)
    here, there = membership(ctx, user.value["UserName"], group.value["GroupName"])
    await ctx.commit(Delete(here), Delete(there))
    return {}


@VERBS.operation("ListGroupsForUser")
async def list_groups_for_user(ctx: Ctx, request: Wire) -> Wire:
    """The groups of a user. Errors: NoSuchEntity."""
    user = await USER.fetch(ctx, request)
    prefix = ctx.key("GroupOfUser", user.value["UserName"].lower())
    rows, token = await _page(ctx, prefix, request)
    groups = [await ctx.get("Group", row.key[-1]) for row in rows]
    return PAGING.answer("Groups", [group.value for group in groups if group], token)


@VERBS.operation("GetGroup")
async def get_group(ctx: Ctx, request: Wire) -> Wire:
    """A group and a page of its users. Errors: NoSuchEntity."""
    group = await GROUP.fetch(ctx, request)
    prefix = ctx.key("UserOfGroup", group.value["GroupName"].lower())
    rows, token = await _page(ctx, prefix, request)
    users = [await ctx.get("User", row.key[-1]) for row in rows]
    page = PAGING.answer("Users", [user.value for user in users if user], token)
    return page | {"Group": group.value}


async def _page(ctx: Ctx, prefix: Key, request: Wire) -> tuple[list[Record], str | None]:
    bad_token = PAGED["bad_token"]
    return await listed(
        ctx, prefix, request, PAGING, most=1000, usual=LIST_USUAL, bad_token=bad_token
    )


# --- instance profiles ---------------------------------------------------------------------------


@VERBS.operation("AddRoleToInstanceProfile")
@retried
async def add_role_to_instance_profile(ctx: Ctx, request: Wire) -> Wire:
    """Give a profile its one role. Errors: NoSuchEntity, LimitExceeded, UnmodifiableEntity."""
    profile, role = await INSTANCE_PROFILE.fetch(ctx, request), await ROLE.fetch(ctx, request)
    refuse_protected(role.value)
    if "RoleName" in profile.value:
        raise over_quota("InstanceSessionsPerInstanceProfile", 1)
    name, id = role.value["RoleName"], profile.value["InstanceProfileName"]
    await ctx.commit(
        Put(profile.key, profile.value | {"RoleName": name}, expect=profile.version),
        Put(ctx.key("ProfileOfRole", name.lower(), id.lower()), {}),
        *held(role),
    )
    return {}


@VERBS.operation("RemoveRoleFromInstanceProfile")
@retried
async def remove_role_from_instance_profile(ctx: Ctx, request: Wire) -> Wire:
    """Take the role out of a profile. Errors: NoSuchEntity."""
    profile = await INSTANCE_PROFILE.fetch(ctx, request)
    name = profile.value.get("RoleName", "")
    if name.lower() != request["RoleName"].lower():
        raise AwsError("NoSuchEntity", f"The role with name {request['RoleName']} cannot be found.")
    kept = {field: value for field, value in profile.value.items() if field != "RoleName"}
    id = profile.value["InstanceProfileName"]
    await ctx.commit(
        Put(profile.key, kept, expect=profile.version),
        Delete(ctx.key("ProfileOfRole", name.lower(), id.lower())),
    )
    return {}


@VERBS.operation("ListInstanceProfilesForRole")
async def list_instance_profiles_for_role(ctx: Ctx, request: Wire) -> Wire:
    """The profiles that have a role. Errors: NoSuchEntity."""
    role = await ROLE.fetch(ctx, request)
    prefix = ctx.key("ProfileOfRole", role.value["RoleName"].lower())
    rows, token = await _page(ctx, prefix, request)
    profiles = [await ctx.get("InstanceProfile", row.key[-1]) for row in rows]
    shown = [await shown_profile(ctx, "list", profile.value) for profile in profiles if profile]
    return PAGING.answer("InstanceProfiles", shown, token)
