"""The account as a whole: its one alias, and how much of its quotas is used.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccountSummary.html
"""

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.traits import retried
from lambent.services.iam import limits
from lambent.services.iam.entities import PAGING
from lambent.store.protocol import ABSENT, Conflict, Delete, Key, Put

VERBS = Verbs()


def _taken(alias: str) -> Key:
    """Aliases are unique among all accounts of a platform, so this record belongs to none."""
    return ("-", "-", "iam", "AccountAlias", alias)


@VERBS.operation("CreateAccountAlias")
@retried
async def create_account_alias(ctx: Ctx, request: Wire) -> Wire:
    """Give the account its alias, in place of the one it had. Errors: EntityAlreadyExists."""
    alias = request["AccountAlias"]
    old = await ctx.get("AccountAlias")
    if old is not None and old.value["AccountAlias"] == alias:
        return {}
    taken = _taken(alias)
    gone = [Delete(_taken(old.value["AccountAlias"]))] if old else []
    put = Put(ctx.key("AccountAlias"), request, expect=old.version if old else ABSENT)
    try:
        await ctx.commit(Put(taken, {"Account": ctx.account}, expect=ABSENT), put, *gone)
    except Conflict as conflict:
        if conflict.key != taken:
            raise
        message = f"The account alias {alias} already exists."
        raise AwsError("EntityAlreadyExists", message) from None
    return {}


@VERBS.operation("DeleteAccountAlias")
async def delete_account_alias(ctx: Ctx, request: Wire) -> Wire:
    """Take the account's alias away. Errors: NoSuchEntity."""
    alias = request["AccountAlias"]
    old = await ctx.get("AccountAlias")
    if old is None or old.value["AccountAlias"] != alias:
        raise AwsError("NoSuchEntity", f"The account alias {alias} cannot be found.")
    await ctx.commit(Delete(old.key, expect=old.version), Delete(_taken(alias)))
    return {}


@VERBS.operation("ListAccountAliases")
async def list_account_aliases(ctx: Ctx, _request: Wire) -> Wire:
    """The account's alias, if it has one."""
    record = await ctx.get("AccountAlias")
    return PAGING.answer("AccountAliases", [record.value["AccountAlias"]] if record else [], None)


@VERBS.operation("GetAccountSummary")
async def get_account_summary(ctx: Ctx, _request: Wire) -> Wire:
    """What is in use, and the quotas. O(what the account has)."""

    async def count(noun: str) -> int:
        return await ctx.store.count(ctx.key(noun))

    return {
        "SummaryMap": {
            "Users": await count("User"),
            "UsersQuota": limits.USERS_MAX,
            "Groups": await count("Group"),
            "GroupsQuota": limits.GROUPS_MAX,
            "Roles": await count("Role"),
            "RolesQuota": limits.ROLES_MAX,
            "Policies": await count("Policy"),
            "PoliciesQuota": limits.POLICIES_MAX,
            "PolicyVersionsInUse": await count("PolicyVersion"),
            "PolicyVersionsInUseQuota": limits.POLICY_VERSIONS_MAX,
            "InstanceProfiles": await count("InstanceProfile"),
            "InstanceProfilesQuota": limits.INSTANCE_PROFILES_MAX,
            "AccountAccessKeysPresent": int(await ctx.store.count(ctx.key("AccessKey", "-")) > 0),
            "AccountMFAEnabled": 0,
            "AccountSigningCertificatesPresent": 0,
            "MFADevices": 0,
            "MFADevicesInUse": 0,
            "Providers": 0,
            "ServerCertificates": 0,
            "AccessKeysPerUserQuota": limits.ACCESS_KEYS_PER_USER_MAX,
            "AssumeRolePolicySizeQuota": limits.TRUST_POLICY_CHARS_MAX,
            "AttachedPoliciesPerGroupQuota": limits.POLICIES_ATTACHED_MAX,
            "AttachedPoliciesPerRoleQuota": limits.POLICIES_ATTACHED_MAX,
            "AttachedPoliciesPerUserQuota": limits.POLICIES_ATTACHED_MAX,
            "GroupPolicySizeQuota": limits.GROUP_INLINE_CHARS_MAX,
            "GroupsPerUserQuota": limits.GROUPS_PER_USER_MAX,
            "PolicySizeQuota": limits.MANAGED_POLICY_CHARS_MAX,
            "RolePolicySizeQuota": limits.ROLE_INLINE_CHARS_MAX,
            "UserPolicySizeQuota": limits.USER_INLINE_CHARS_MAX,
            "VersionsPerPolicyQuota": limits.VERSIONS_PER_POLICY_MAX,
        }
    }
