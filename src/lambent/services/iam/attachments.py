"""Managed policies on roles, users and groups: attach, detach and both ways of listing.

One attachment is two records, committed together: (Attachment, kind, name, policy ARN), which the
policy engine reads for a principal, and (PolicyEntity, policy ARN, kind, name) for the way back.
"""

from collections.abc import Iterator

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Service, Verbs, Wire
from lambent.kernel.service import Operation
from lambent.kernel.traits import Missing, Resource, held, listed, retried
from lambent.services.iam.entities import PAGED, PAGING, over_quota, refuse_protected
from lambent.services.iam.limits import LIST_USUAL, POLICIES_ATTACHED_MAX
from lambent.services.iam.policies import POLICY, attachable
from lambent.services.iam.resources import GROUP, ROLE, USER
from lambent.store.protocol import Delete, Key, Put

VERBS = Verbs()
_BAD_MARKER: Missing = PAGED["bad_token"]


class Attachments(Struct, frozen=True, kw_only=True):
    """The attachments of one kind of entity."""

    entity: Resource
    attach: str
    detach: str
    list: str

    def serve(self, service: Service) -> Iterator[tuple[str, Operation]]:  # noqa: ARG002
        """The named operations."""
        yield self.attach, retried(self._attach)
        yield self.detach, self._detach
        yield self.list, self._list

    def keys(self, ctx: Ctx, name: str, arn: str) -> tuple[Key, Key]:
        """Where an attachment is stored, both ways."""
        kind = self.entity.noun
        return (
            ctx.key("Attachment", kind, name.lower(), arn),
            ctx.key("PolicyEntity", arn, kind, name.lower()),
        )

    async def _attach(self, ctx: Ctx, request: Wire) -> Wire:
        parent = await self.entity.fetch(ctx, request)
        if self.entity is ROLE:
            refuse_protected(parent.value)
        arn = request["PolicyArn"]
        policy = await attachable(ctx, arn)
        name = parent.value[self.entity.id]
        here, there = self.keys(ctx, name, arn)
        attached = await ctx.store.scan(here[:-1], limit=POLICIES_ATTACHED_MAX + 1)
        if any(row.key == here for row in attached):
            return {}
        if len(attached) >= POLICIES_ATTACHED_MAX:
            raise over_quota(f"PoliciesPer{self.entity.noun}", POLICIES_ATTACHED_MAX)
        await ctx.commit(
            Put(here, {"PolicyArn": arn, "PolicyName": arn.rsplit("/", 1)[-1]}),
            Put(there, {"Name": name, "Id": parent.value[f"{self.entity.noun}Id"]}),
            *held(parent),
            *policy,
        )
        return {}

    async def _detach(self, ctx: Ctx, request: Wire) -> Wire:
        parent = await self.entity.fetch(ctx, request)
        if self.entity is ROLE:
            refuse_protected(parent.value)
        arn = request["PolicyArn"]
        here, there = self.keys(ctx, parent.value[self.entity.id], arn)
        if await ctx.store.get(here) is None:
            POLICY.named(request)
            raise AwsError("NoSuchEntity", f"Policy {arn} was not found.")
        await ctx.commit(Delete(here), Delete(there))
        return {}

    async def _list(self, ctx: Ctx, request: Wire) -> Wire:
        parent = await self.entity.fetch(ctx, request)
        starts = request.get("PathPrefix", "/")
        rows, token = await listed(
            ctx,
            ctx.key("Attachment", self.entity.noun, parent.value[self.entity.id].lower()),
            request,
            PAGING,
            most=1000,
            usual=LIST_USUAL,
            keep=lambda record: record["PolicyArn"].split(":policy", 1)[-1].startswith(starts),
            bad_token=_BAD_MARKER,
        )
        return PAGING.answer("AttachedPolicies", [row.value for row in rows], token)


ON_ROLES = Attachments(
    entity=ROLE,
    attach="AttachRolePolicy",
    detach="DetachRolePolicy",
    list="ListAttachedRolePolicies",
)
ON_USERS = Attachments(
    entity=USER,
    attach="AttachUserPolicy",
    detach="DetachUserPolicy",
    list="ListAttachedUserPolicies",
)
ON_GROUPS = Attachments(
    entity=GROUP,
    attach="AttachGroupPolicy",
    detach="DetachGroupPolicy",
    list="ListAttachedGroupPolicies",
)


@VERBS.operation("ListEntitiesForPolicy")
async def list_entities_for_policy(ctx: Ctx, request: Wire) -> Wire:
    """Who has a policy, attached or as a boundary, in one list over the three kinds.

    Errors: NoSuchEntity. Source:
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_ListEntitiesForPolicy.html
    """
    await attachable(ctx, request["PolicyArn"])
    usage = request.get("PolicyUsageFilter")
    found: set[tuple[str, str]] = set()
    if usage != "PermissionsBoundary":
        rows = await ctx.store.scan(ctx.key("PolicyEntity", request["PolicyArn"]), limit=10_000)
        found |= {(row.key[-2], row.key[-1]) for row in rows}
    if usage != "PermissionsPolicy":
        for kind in ("Role", "User"):
            rows = await ctx.store.scan(ctx.key(f"{kind}Boundary"), limit=10_000)
            found |= {
                (kind, row.key[-1])
                for row in rows
                if row.value["PermissionsBoundary"] == request["PolicyArn"]
            }
    wanted = request.get("EntityFilter", "")
    after = request.get("Marker", "")
    limit = request.get("MaxItems") or LIST_USUAL
    names = sorted(
        f"{kind}/{name}"
        for kind, name in found
        if wanted in ("", kind) and f"{kind}/{name}" > after
    )
    answer: Wire = {"PolicyGroups": [], "PolicyUsers": [], "PolicyRoles": []}
    for entry in names[:limit]:
        kind, name = entry.split("/", 1)
        record = await ctx.get(kind, name)
        if record is not None and _under(request, record.value):
            member = {field: record.value[field] for field in (f"{kind}Name", f"{kind}Id")}
            answer[f"Policy{kind}s"].append(member)
    token = names[limit - 1] if len(names) > limit else None
    return answer | PAGING.answer("Listed", [], token)


def _under(request: Wire, record: Wire) -> bool:
    return bool(record["Path"].startswith(request.get("PathPrefix", "/")))
