"""Access keys: issued through the platform's directory, so that what they sign is verified.

IAM keeps which user has which key, the platform (`kernel/identity.py`) the secret and whether it is
active; both change in one commit. When and where a key was last used is not tracked.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html
"""

from msgspec.structs import replace

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Principal, Verbs, Wire
from lambent.kernel.traits import held, listed, retried
from lambent.services.iam.entities import PAGED, PAGING, caller_name, now_s, over_quota
from lambent.services.iam.limits import ACCESS_KEYS_PER_USER_MAX, LIST_USUAL
from lambent.services.iam.resources import USER
from lambent.store.protocol import Delete, Put, Record

VERBS = Verbs()
_ROOT = "-"
"""In keys: the account itself, where there is no user. No user can be called so."""

_ACTIVE = {"Active": True, "Inactive": False}


async def _owner(ctx: Ctx, request: Wire) -> Record | None:
    """The user whose keys a request means; None for the account itself. Errors: NoSuchEntity."""
    name = request.get("UserName") or caller_name(ctx)
    return await USER.fetch(ctx, {"UserName": name}) if name else None


def _part(owner: Record | None) -> str:
    return owner.value["UserName"].lower() if owner else _ROOT


async def _key(ctx: Ctx, owner: Record | None, id: str) -> Record:
    record = await ctx.get("AccessKey", _part(owner), id)
    if record is None:
        raise AwsError("NoSuchEntity", f"The Access Key with id {id} cannot be found.")
    return record


@VERBS.operation("CreateAccessKey")
@retried
async def create_access_key(ctx: Ctx, request: Wire) -> Wire:
    """Issue a key; no other answer has its secret. Errors: NoSuchEntity, LimitExceeded.

    Source: https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateAccessKey.html
    """
    owner = await _owner(ctx, request)
    prefix = ctx.key("AccessKey", _part(owner))
    if len(await ctx.store.scan(prefix)) >= ACCESS_KEYS_PER_USER_MAX:
        raise over_quota("AccessKeysPerUser", ACCESS_KEYS_PER_USER_MAX)
    if owner is None:
        principal, named = Principal.root(ctx.account), {}
    else:
        user = owner.value
        principal = Principal(ctx.account, user["Arn"], user["UserId"])
        named = {"UserName": user["UserName"]}
    issued = ctx.platform.identities.make(principal)
    record = named | {
        "AccessKeyId": issued.access_key,
        "Status": "Active",
        "CreateDate": now_s(ctx),
    }
    await ctx.commit(
        Put((*prefix, issued.access_key), record),
        Put(ctx.key("OwnerOfKey", issued.access_key), named),
        ctx.platform.identities.put(issued),
        *held(owner),
    )
    return {"AccessKey": record | {"SecretAccessKey": issued.secret}}


@VERBS.operation("ListAccessKeys")
async def list_access_keys(ctx: Ctx, request: Wire) -> Wire:
    """The keys of a user, without secrets. Errors: NoSuchEntity."""
    owner = await _owner(ctx, request)
    rows, token = await listed(
        ctx,
        ctx.key("AccessKey", _part(owner)),
        request,
        PAGING,
        most=1000,
        usual=LIST_USUAL,
        bad_token=PAGED["bad_token"],
    )
    return PAGING.answer("AccessKeyMetadata", [row.value for row in rows], token)


@VERBS.operation("UpdateAccessKey")
@retried
async def update_access_key(ctx: Ctx, request: Wire) -> Wire:
    """Switch a key on or off. Errors: NoSuchEntity, ValidationError."""
    if request["Status"] not in _ACTIVE:
        # The text of this one constraint does not name the value.
        raise AwsError(
            "ValidationError",
            "1 validation error detected: Value at 'status' failed to satisfy constraint: "
            "Member must satisfy enum value set",
        )
    record = await _key(ctx, await _owner(ctx, request), request["AccessKeyId"])
    issued = await ctx.platform.identities.find(request["AccessKeyId"])
    assert issued is not None, "a key of IAM's that the platform does not know"
    await ctx.commit(
        Put(record.key, record.value | {"Status": request["Status"]}, expect=record.version),
        ctx.platform.identities.put(replace(issued, active=_ACTIVE[request["Status"]])),
    )
    return {}


@VERBS.operation("DeleteAccessKey")
@retried
async def delete_access_key(ctx: Ctx, request: Wire) -> Wire:
    """Revoke a key for good. Errors: NoSuchEntity."""
    id = request["AccessKeyId"]
    record = await _key(ctx, await _owner(ctx, request), id)
    await ctx.commit(
        Delete(record.key, expect=record.version),
        Delete(ctx.key("OwnerOfKey", id)),
        ctx.platform.identities.drop(id),
    )
    return {}


@VERBS.operation("GetAccessKeyLastUsed")
async def get_access_key_last_used(ctx: Ctx, request: Wire) -> Wire:
    """Whose key it is. Use is not tracked: the answer is that of a key that was not used yet.

    Errors: AccessDenied for a key that is not this account's, as AWS answers it.
    """
    record = await ctx.get("OwnerOfKey", request["AccessKeyId"])
    if record is None:
        raise AwsError(
            "AccessDenied",
            f"User: {ctx.principal.arn} is not authorized to perform: iam:GetAccessKeyLastUsed on "
            f"resource: access key {request['AccessKeyId']}",
            status=403,
        )
    return record.value | {"AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
