"""New names and paths of users and groups: everything that is stored under the name moves along.

Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_UpdateUser.html
"""

from msgspec.structs import replace

from lambent.kernel import Ctx, Principal, Verbs, Wire
from lambent.kernel.traits import Resource, retried
from lambent.services.iam.entities import caller_name
from lambent.services.iam.members import membership
from lambent.services.iam.resources import GROUP, USER, USER_TAGS
from lambent.store.protocol import ABSENT, Change, Conflict, Delete, Key, Put

VERBS = Verbs()


@VERBS.operation("GetUser")
async def get_user(ctx: Ctx, request: Wire) -> Wire:
    """A user; without a name, whoever asks, who may be the account itself. Errors: NoSuchEntity."""
    name = request.get("UserName") or caller_name(ctx)
    if not name:
        arn = Principal.root(ctx.account).arn
        return {"User": {"UserId": ctx.account, "Arn": arn}}
    record = await USER.fetch(ctx, {"UserName": name})
    return await USER.out(ctx, "read", record.value)


@VERBS.operation("UpdateUser")
@retried
async def update_user(ctx: Ctx, request: Wire) -> Wire:
    """Rename or move a user; its keys keep working. Errors: NoSuchEntity, EntityAlreadyExists."""
    old = (await USER.fetch(ctx, request)).value
    new = _renamed(ctx, USER, "user", old, request)
    was, name = old["UserName"], new["UserName"]
    changes = [
        *await _kept(ctx, "User", was, name),
        *await _moved(ctx, ctx.key("UserBoundary"), was, name, {"UserName": name}),
        *await _moved(ctx, ctx.key("AccessKey"), was, name, {"UserName": name}),
    ]
    for row in await ctx.store.scan(ctx.key("GroupOfUser", was.lower())):
        changes += [Delete(key) for key in membership(ctx, was, row.key[-1])]
        changes += [Put(key, {}) for key in membership(ctx, name, row.key[-1])]
    for row in await ctx.store.scan(ctx.key("AccessKey", was.lower())):
        issued = await ctx.platform.identities.find(row.key[-1])
        if issued is not None:
            principal = replace(issued.principal, arn=new["Arn"])
            changes.append(ctx.platform.identities.put(replace(issued, principal=principal)))
        changes.append(Put(ctx.key("OwnerOfKey", row.key[-1]), {"UserName": name}))
    if new["Arn"] != old["Arn"]:
        tags = await USER_TAGS.of(ctx, old["Arn"])
        changes += [
            USER_TAGS.change(ctx, old["Arn"], {}),
            USER_TAGS.change(ctx, new["Arn"], tags),
        ]
    await _commit(ctx, USER, old, new, changes)
    return {}


@VERBS.operation("UpdateGroup")
@retried
async def update_group(ctx: Ctx, request: Wire) -> Wire:
    """Rename or move a group. Errors: NoSuchEntity, EntityAlreadyExists."""
    old = (await GROUP.fetch(ctx, request)).value
    new = _renamed(ctx, GROUP, "group", old, request)
    was, name = old["GroupName"], new["GroupName"]
    changes = await _kept(ctx, "Group", was, name)
    for row in await ctx.store.scan(ctx.key("UserOfGroup", was.lower()), limit=10_000):
        changes += [Delete(key) for key in membership(ctx, row.key[-1], was)]
        changes += [Put(key, {}) for key in membership(ctx, row.key[-1], name)]
    await _commit(ctx, GROUP, old, new, changes)
    return {}


def _renamed(ctx: Ctx, noun: Resource, kind: str, old: Wire, request: Wire) -> Wire:
    name = request.get(f"New{noun.id}", old[noun.id])
    path = request.get("NewPath", old["Path"])
    return old | {noun.id: name, "Path": path, "Arn": ctx.arn(f"{kind}{path}{name}", region="")}


async def _moved(ctx: Ctx, prefix: Key, was: str, name: str, named: Wire) -> list[Change]:
    """The records under (prefix, was) under (prefix, name), with the members in `named` set."""
    changes: list[Change] = []
    at = len(prefix)
    for row in await ctx.store.scan((*prefix, was.lower()), limit=10_000):
        key = (*prefix, name.lower(), *row.key[at + 1 :])
        changes += [Delete(row.key), Put(key, row.value | named)]
    return changes


async def _kept(ctx: Ctx, kind: str, was: str, name: str) -> list[Change]:
    """The policies, inline and attached, under the new name."""
    changes = [
        *await _moved(ctx, ctx.key(f"{kind}Policy"), was, name, {f"{kind}Name": name}),
        *await _moved(ctx, ctx.key("Attachment", kind), was, name, {}),
    ]
    for row in await ctx.store.scan(ctx.key("Attachment", kind, was.lower())):
        back = await ctx.get("PolicyEntity", row.key[-1], kind, was.lower())
        if back is not None:
            key = ctx.key("PolicyEntity", row.key[-1], kind, name.lower())
            changes += [Delete(back.key), Put(key, back.value | {"Name": name})]
    return changes


async def _commit(ctx: Ctx, noun: Resource, old: Wire, new: Wire, changes: list[Change]) -> None:
    here, there = noun.key(ctx, old), noun.key(ctx, new)
    # Deletions first: where the name only changes its case, a record moves onto itself.
    ordered = sorted(changes, key=lambda change: not isinstance(change, Delete))
    record = await noun.fetch(ctx, old)
    try:
        if here == there:
            await ctx.commit(*ordered, Put(here, new, expect=record.version))
        else:
            gone = Delete(here, expect=record.version)
            await ctx.commit(*ordered, gone, Put(there, new, expect=ABSENT))
    except Conflict as conflict:
        if conflict.key == there != here:
            assert noun.exists is not None
            raise noun.exists.error(id=new[noun.id]) from None
        raise
