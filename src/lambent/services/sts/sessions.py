"""Temporary credentials: issued, kept with what the policy engine needs of them, and forgotten.

A session's record, (account, region, sts, "Session", access key), has the role, the tags and the
source identity. It and the credentials go a day after they have expired.
"""

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Principal, Verbs, Wire
from lambent.services.sts.limits import (
    EXPIRED_KEPT_S,
    ROOT_SESSION_S_MAX,
    SESSION_S_USUAL,
)
from lambent.store.protocol import Delete, Put

VERBS = Verbs()
FORGET = "forget"
"""The timer that takes expired credentials away."""


async def issue(ctx: Ctx, principal: Principal, lifetime_s: int, session: Wire) -> Wire:
    """New credentials for `principal`, durable before they are answered: the `Credentials`."""
    platform = ctx.platform
    issued = platform.identities.make(principal, lifetime_s=lifetime_s)
    due_s = issued.expires_s + EXPIRED_KEPT_S
    forget = platform.timers.put(
        ctx, FORGET, due_s, {"AccessKeyId": issued.access_key}, id=issued.access_key
    )
    record = Put(ctx.key("Session", issued.access_key), session | {"Expires": issued.expires_s})
    await ctx.commit(platform.identities.put(issued), record, forget)
    platform.timers.armed(forget)
    return {
        "AccessKeyId": issued.access_key,
        "SecretAccessKey": issued.secret,
        "SessionToken": issued.token,
        "Expiration": int(issued.expires_s),
    }


async def forget(ctx: Ctx, payload: Wire) -> None:
    """Take away credentials that expired a day ago."""
    key = payload["AccessKeyId"]
    await ctx.commit(Delete(ctx.key("Session", key)), ctx.platform.identities.drop(key))


@VERBS.operation("GetSessionToken")
async def get_session_token(ctx: Ctx, request: Wire) -> Wire:
    """Temporary credentials of the caller, who must have long-term ones.

    Errors: AccessDenied. Source:
    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html
    """
    refuse_token_size(request)
    who = ctx.principal
    if who.access_key.startswith("ASIA"):
        raise AwsError(
            "AccessDenied", "Cannot call GetSessionToken with session credentials", status=403
        )
    if "SerialNumber" in request or "TokenCode" in request:
        # There are no MFA devices, so no code can be right.
        raise AwsError(
            "AccessDenied",
            "MultiFactorAuthentication failed, unable to validate MFA code.  Please verify your "
            "MFA serial number is valid and associated with this user.",
            status=403,
        )
    asked_s = request.get("DurationSeconds", SESSION_S_USUAL)
    lifetime_s = min(asked_s, ROOT_SESSION_S_MAX) if who.arn.endswith(":root") else asked_s
    return {"Credentials": await issue(ctx, who, lifetime_s, {})}


def refuse_token_size(request: Wire) -> None:
    """Tokens here have one size. Errors: ValidationError."""
    if "MinimumSessionTokenSize" in request:
        raise AwsError("ValidationError", "MinimumSessionTokenSize is not supported by Lambent.")
