"""Managed policies and their versions: those of the account, and AWS's own as far as known.

A policy's record is under its name, a version's under (policy, number); the default version's
document is what attaching the policy grants. How often a policy is attached is counted from the
attachments when it is asked for, so that the count cannot drift.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html
"""

from collections import Counter

from lambent.base.arn import Arn
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.paging import BadTokenError, decode_token, encode_token
from lambent.kernel.traits import Missing, Resource, Verb, held
from lambent.services.iam import aws_managed, documents
from lambent.services.iam.entities import (
    PAGED,
    PAGING,
    entity,
    now_s,
    over_quota,
    tagging,
    under_path,
)
from lambent.services.iam.limits import LIST_USUAL, MANAGED_POLICY_CHARS_MAX
from lambent.store.protocol import Change, Delete, Put, Record

VERBS = Verbs()
_NOT_FOUND = Missing("NoSuchEntity", "Policy {PolicyArn} was not found.")


def check_document(document: str) -> None:
    """Refuse what cannot be a managed policy. Errors: MalformedPolicyDocument, LimitExceeded."""
    documents.check_managed(document)
    if documents.size_chars(document) > MANAGED_POLICY_CHARS_MAX:
        raise over_quota("PolicySize", MANAGED_POLICY_CHARS_MAX)


def _named(request: Wire) -> Wire:
    """A request that names the policy by its ARN, with its name."""
    if "PolicyArn" not in request:
        return request
    try:
        resource = Arn.parse(request["PolicyArn"]).resource
    except ValueError:
        raise AwsError("ValidationError", "Invalid ARN:  Could not be parsed!") from None
    return request | {"PolicyName": resource.rsplit("/", 1)[-1]}


class _Policies(Resource, frozen=True, kw_only=True):
    """The account's policies by name, and AWS's by ARN."""

    async def find(self, ctx: Ctx, request: Wire) -> Record | None:
        """The policy that a request names, if its ARN is right to the letter."""
        arn = request.get("PolicyArn", "")
        if aws_managed.is_aws(arn):
            known = aws_managed.KNOWN.get(arn)
            return Record(self.key(ctx, request), 0, _of_aws(known)) if known else None
        record = await ctx.store.get(self.key(ctx, request))
        return record if record is not None and arn in ("", record.value["Arn"]) else None


def _of_aws(policy: aws_managed.AwsManaged) -> Wire:
    named = {"PolicyId": policy.id} if policy.id else {}
    return named | {
        "PolicyName": policy.name,
        "Path": policy.path,
        "Arn": policy.arn,
        "DefaultVersionId": f"v{policy.version}",
        "IsAttachable": True,
    }


def own(policy: Wire) -> Wire:
    """The policy, if it is the account's. Errors: InvalidInput for one of AWS's."""
    if aws_managed.is_aws(policy["Arn"]):
        raise AwsError("InvalidInput", "Policy is outside your own account.")
    return policy


def _new_policy(ctx: Ctx, request: Wire) -> Wire:
    check_document(request["PolicyDocument"])
    made = entity("policy", "PolicyName", "PolicyId", "ANPA")(ctx, request)
    return made | {
        "PolicyDocument": None,
        "DefaultVersionId": "v1",
        "Latest": 1,
        "IsAttachable": True,
        "UpdateDate": made["CreateDate"],
    }


def version_put(ctx: Ctx, name: str, number: int, document: str) -> Put:
    """The change that adds a version."""
    value = {"VersionId": f"v{number}", "Document": document, "CreateDate": now_s(ctx)}
    return Put(ctx.key("PolicyVersion", name.lower(), f"{number:06d}"), value)


async def _first_version(ctx: Ctx, request: Wire, record: Wire) -> tuple[Change, ...]:
    return (version_put(ctx, record["PolicyName"], 1, request["PolicyDocument"]),)


async def _unused(ctx: Ctx, _request: Wire, record: Wire) -> tuple[Change, ...]:
    """What goes with a policy; one that is used stays. Errors: DeleteConflict."""
    own(record)
    arn = record["Arn"]
    attached = await ctx.store.scan(ctx.key("PolicyEntity", arn), limit=1)
    if attached or (await boundary_uses(ctx))[arn]:
        raise AwsError("DeleteConflict", "Cannot delete a policy attached to entities.")
    versions = await ctx.store.scan(ctx.key("PolicyVersion", record["PolicyName"].lower()))
    if len(versions) > 1:
        raise AwsError(
            "DeleteConflict",
            "This policy has more than one version. Before you delete a policy, you must delete "
            "the policy's versions. The default version is deleted with the policy.",
        )
    return tuple(Delete(version.key) for version in versions)


async def boundary_uses(ctx: Ctx) -> Counter[str]:
    """How many roles and users have each policy as their boundary. O(boundaries)."""
    uses: Counter[str] = Counter()
    for noun in ("RoleBoundary", "UserBoundary"):
        rows = await ctx.store.scan(ctx.key(noun), limit=10_000)
        uses.update(row.value["PermissionsBoundary"] for row in rows)
    return uses


async def _counted(ctx: Ctx, _verb: Verb, record: Wire) -> Wire:
    arn = record["Arn"]
    return record | {
        "AttachmentCount": await ctx.store.count(ctx.key("PolicyEntity", arn)),
        "PermissionsBoundaryUsageCount": (await boundary_uses(ctx))[arn],
    }


async def _own_arn(ctx: Ctx, request: Wire) -> str:
    arn: str = own((await POLICY.fetch(ctx, request)).value)["Arn"]
    return arn


TAGS = tagging(_own_arn, "TagPolicy", "UntagPolicy", "ListPolicyTags")

POLICY = _Policies(
    noun="Policy",
    id="PolicyName",
    named=_named,
    missing=_NOT_FOUND,
    exists=Missing(
        "EntityAlreadyExists",
        "A policy called {PolicyName} already exists. Duplicate names are not allowed.",
    ),
    create="CreatePolicy",
    read="GetPolicy",
    delete="DeletePolicy",
    member="Policy",
    computed=_new_policy,
    extra=_first_version,
    removed=_unused,
    shown=_counted,
    tagging=TAGS,
    arn="Arn",
    tags_shown=True,
    **PAGED,
)


async def attachable(ctx: Ctx, arn: str) -> tuple[Change, ...]:
    """What holds the policy `arn` in place while it is being attached.

    Any policy of AWS's can be attached. Errors: NoSuchEntity, ValidationError.
    """
    request = _named({"PolicyArn": arn})
    if aws_managed.is_aws(arn):
        return ()
    record = await POLICY.find(ctx, request)
    if record is None:
        message = f"Policy {arn} does not exist or is not attachable."
        raise AwsError("NoSuchEntity", message)
    return held(record)


@VERBS.operation("ListPolicies")
async def list_policies(ctx: Ctx, request: Wire) -> Wire:
    """The account's policies and AWS's, by name. O(policies), of which there are few thousand."""
    scope = request.get("Scope", "All")
    found = [_of_aws(one) for one in aws_managed.known()] if scope != "Local" else []
    if scope != "AWS":
        rows = await ctx.store.scan(ctx.key("Policy"), limit=10_000)
        found += [row.value for row in rows]
    found = [one for one in found if under_path(request, one)]
    usage = request.get("PolicyUsageFilter")
    shown = []
    for one in sorted(found, key=lambda one: (one["PolicyName"].lower(), one["Arn"])):
        policy = await _counted(ctx, "list", one)
        policy.pop("Description", None)
        attached = policy["AttachmentCount"] or usage == "PermissionsBoundary"
        bounding = policy["PermissionsBoundaryUsageCount"] or usage != "PermissionsBoundary"
        if (attached or not request.get("OnlyAttached")) and bounding:
            shown.append(policy)
    prefix = ctx.key("Policy")
    if marker := request.get("Marker"):
        try:
            last = decode_token(prefix, marker)
        except BadTokenError:
            raise POLICY.bad_token.error(**request) from None
        shown = [one for one in shown if f"{one['PolicyName'].lower()}\0{one['Arn']}" > last]
    limit = request.get("MaxItems") or LIST_USUAL
    token = None
    if len(shown) > limit:
        last_shown = shown[limit - 1]
        token = encode_token(prefix, f"{last_shown['PolicyName'].lower()}\0{last_shown['Arn']}")
    return PAGING.answer("Policies", shown[:limit], token)
