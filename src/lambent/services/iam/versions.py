"""Versions of managed policies: at most five, one of them the default.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html
"""

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.traits import retried
from lambent.services.iam import aws_managed, documents
from lambent.services.iam.entities import PAGING, now_s
from lambent.services.iam.limits import LIST_USUAL, VERSIONS_PER_POLICY_MAX
from lambent.services.iam.policies import POLICY, check_document, own, version_put
from lambent.store.protocol import Delete, Put, Record

VERBS = Verbs()


async def _versions(ctx: Ctx, policy: Wire) -> list[Record]:
    """The versions of a policy, newest first."""
    key = ctx.key("PolicyVersion", policy["PolicyName"].lower())
    if known := aws_managed.KNOWN.get(policy["Arn"]):
        value = {"VersionId": policy["DefaultVersionId"], "Document": known.document}
        return [Record((*key, ""), 0, value)]
    return await ctx.store.scan(key, reverse=True)


async def _version(ctx: Ctx, policy: Wire, request: Wire) -> Record:
    for row in await _versions(ctx, policy):
        if row.value["VersionId"] == request["VersionId"]:
            return row
    raise AwsError(
        "NoSuchEntity",
        f"Policy {policy['Arn']} version {request['VersionId']} does not exist or is not "
        "attachable.",
    )


def _shown(policy: Wire, version: Wire) -> Wire:
    """A version without its document, which only GetPolicyVersion answers."""
    shown = {name: value for name, value in version.items() if name != "Document"}
    return shown | {"IsDefaultVersion": version["VersionId"] == policy["DefaultVersionId"]}


@VERBS.operation("CreatePolicyVersion")
@retried
async def create_policy_version(ctx: Ctx, request: Wire) -> Wire:
    """Add a version. Errors: NoSuchEntity, MalformedPolicyDocument, LimitExceeded.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreatePolicyVersion.html
    """
    record = await POLICY.fetch(ctx, request)
    policy = own(record.value)
    check_document(request["PolicyDocument"])
    if len(await _versions(ctx, policy)) >= VERSIONS_PER_POLICY_MAX:
        raise AwsError(
            "LimitExceeded",
            f"A managed policy can have up to {VERSIONS_PER_POLICY_MAX} versions. Before you "
            "create a new version, you must delete an existing version.",
        )
    number = policy["Latest"] + 1
    changed = policy | {"Latest": number, "UpdateDate": now_s(ctx)}
    if request.get("SetAsDefault"):
        changed["DefaultVersionId"] = f"v{number}"
    put = version_put(ctx, policy["PolicyName"], number, request["PolicyDocument"])
    await ctx.commit(Put(record.key, changed, expect=record.version), put)
    return {"PolicyVersion": _shown(changed, put.value)}


@VERBS.operation("GetPolicyVersion")
async def get_policy_version(ctx: Ctx, request: Wire) -> Wire:
    """One version with its document. Errors: NoSuchEntity."""
    policy = (await POLICY.fetch(ctx, request)).value
    version = (await _version(ctx, policy, request)).value
    document = documents.encoded(version["Document"])
    return {"PolicyVersion": _shown(policy, version) | {"Document": document}}


@VERBS.operation("ListPolicyVersions")
async def list_policy_versions(ctx: Ctx, request: Wire) -> Wire:
    """The versions, newest first. Errors: NoSuchEntity."""
    policy = (await POLICY.fetch(ctx, request)).value
    shown = [_shown(policy, row.value) for row in await _versions(ctx, policy)]
    ids = [version["VersionId"] for version in shown]
    marker = request.get("Marker")
    start = ids.index(marker) + 1 if marker in ids else 0
    end = start + (request.get("MaxItems") or LIST_USUAL)
    return PAGING.answer("Versions", shown[start:end], ids[end - 1] if end < len(ids) else None)


@VERBS.operation("DeletePolicyVersion")
@retried
async def delete_policy_version(ctx: Ctx, request: Wire) -> Wire:
    """Remove a version that is not the default. Errors: NoSuchEntity, DeleteConflict."""
    record = await POLICY.fetch(ctx, request)
    policy = own(record.value)
    version = await _version(ctx, policy, request)
    if version.value["VersionId"] == policy["DefaultVersionId"]:
        raise AwsError("DeleteConflict", "Cannot delete the default version of a policy.")
    changed = policy | {"UpdateDate": now_s(ctx)}
    await ctx.commit(Put(record.key, changed, expect=record.version), Delete(version.key))
    return {}


@VERBS.operation("SetDefaultPolicyVersion")
@retried
async def set_default_policy_version(ctx: Ctx, request: Wire) -> Wire:
    """Make another version the one that grants. Errors: NoSuchEntity."""
    record = await POLICY.fetch(ctx, request)
    policy = own(record.value)
    version = await _version(ctx, policy, request)
    changed = policy | {
        "DefaultVersionId": version.value["VersionId"],
        "UpdateDate": now_s(ctx),
    }
    await ctx.commit(Put(record.key, changed, expect=record.version))
    return {}
