"""Who a caller is, and whose a key is.

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
"""

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire

VERBS = Verbs()


@VERBS.operation("GetCallerIdentity")
async def get_caller_identity(ctx: Ctx, _request: Wire) -> Wire:
    """Who asks. It needs no permission."""
    who = ctx.principal
    return {"UserId": who.user_id, "Account": who.account, "Arn": who.arn}


@VERBS.operation("GetAccessKeyInfo")
async def get_access_key_info(ctx: Ctx, request: Wire) -> Wire:
    """The account that a key belongs to; with `--auth off` every key belongs to one.

    Errors: ValidationError for a key that was not issued here, under `--auth enforce`.
    """
    key, platform = request["AccessKeyId"], ctx.platform
    issued = await platform.identities.find(key)
    if issued is not None:
        return {"Account": issued.principal.account}
    if platform.settings.enforce:
        raise AwsError("ValidationError", f"Invalid AccessKeyId: {key}")
    return {"Account": (await platform.identities.principal(key, ctx.region)).account}
