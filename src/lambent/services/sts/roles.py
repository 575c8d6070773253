"""AssumeRole: a role's session, for whoever may have it (`__init__.py` says who, and why).

Source: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
"""

import msgspec
from msgspec.structs import replace

from lambent.base.arn import Arn
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Verbs, Wire
from lambent.kernel.identity import role_session
from lambent.services.sts.limits import CHAINED_S_MAX, ROLE_S_USUAL
from lambent.services.sts.sessions import issue, refuse_token_size

VERBS = Verbs()
_KEPT = ("Policy", "PolicyArns", "Tags", "TransitiveTagKeys", "SourceIdentity", "ExternalId")
PACKED_BYTES_MAX = 2_048
"""What a session policy may take; PackedPolicySize is in per cent of it."""


@VERBS.operation("AssumeRole")
async def assume_role(ctx: Ctx, request: Wire) -> Wire:
    """Credentials of a role's session.

    Errors: AccessDenied (also when there is no such role), ValidationError,
    MalformedPolicyDocument, PackedPolicyTooLarge.
    """
    _refuse_unhonoured(ctx, request)
    role = await _role(ctx, request["RoleArn"])
    lifetime_s = _lifetime_s(ctx, role, request)
    principal = role_session(role["Arn"], request["RoleSessionName"], role["RoleId"])
    packed = _packed_percent(request)
    session = {name: request[name] for name in _KEPT if name in request}
    session |= {"RoleArn": role["Arn"], "AssumedBy": ctx.principal.arn}
    within = replace(ctx, account=principal.account)
    answer: Wire = {
        "Credentials": await issue(within, principal, lifetime_s, session),
        "AssumedRoleUser": {"AssumedRoleId": principal.user_id, "Arn": principal.arn},
    }
    if packed:
        answer["PackedPolicySize"] = packed
    if "SourceIdentity" in request:
        answer["SourceIdentity"] = request["SourceIdentity"]
    return answer


def _refuse_unhonoured(ctx: Ctx, request: Wire) -> None:
    refuse_token_size(request)
    if "SerialNumber" in request or "TokenCode" in request:
        message = "MultiFactorAuthentication failed with invalid MFA one time pass code. "
        raise AwsError("AccessDenied", message, status=403)
    if request.get("ProvidedContexts"):
        raise AwsError("ValidationError", "ProvidedContexts is not supported by Lambent.")
    if ctx.platform.settings.enforce:
        for name in ("Policy", "PolicyArns"):
            if request.get(name):
                raise AwsError(
                    "ValidationError",
                    f"{name} is refused under --auth enforce until session policies are evaluated.",
                )
    if "Policy" in request:
        try:
            policy = msgspec.json.decode(request["Policy"])
        except msgspec.DecodeError:
            policy = None
        if not isinstance(policy, dict):
            raise AwsError("MalformedPolicyDocument", "This policy contains invalid Json")


async def _role(ctx: Ctx, arn: str) -> Wire:
    """The role's record, read from its own account. Errors: AccessDenied, ValidationError."""
    try:
        parsed = Arn.parse(arn)
    except ValueError:
        raise AwsError("ValidationError", f"{arn} is invalid") from None
    if parsed.service != "iam" or not parsed.resource.startswith("role/"):
        raise AwsError("ValidationError", f"{arn} is invalid")
    stranger = ctx.platform.settings.enforce and parsed.account != ctx.principal.account
    name = parsed.resource.rsplit("/", 1)[-1]
    if not stranger:
        try:
            there = replace(ctx, account=parsed.account)
            role: Wire = (await there.call("iam", "GetRole", {"RoleName": name}))["Role"]
            if role["Arn"] == arn:
                return role
        except AwsError as error:
            if error.code not in ("NoSuchEntity", "ValidationError"):
                raise
    # AWS does not tell who may not from what is not there.
    raise AwsError(
        "AccessDenied",
        f"User: {ctx.principal.arn} is not authorized to perform: sts:AssumeRole on resource: "
        f"{arn}",
        status=403,
    )


def _lifetime_s(ctx: Ctx, role: Wire, request: Wire) -> int:
    asked_s: int = request.get("DurationSeconds", ROLE_S_USUAL)
    if ":assumed-role/" in ctx.principal.arn and asked_s > CHAINED_S_MAX:
        raise AwsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by "
            "role chaining",
        )
    if asked_s > role["MaxSessionDuration"]:
        raise AwsError(
            "ValidationError",
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
        )
    return asked_s


def _packed_percent(request: Wire) -> int:
    """How much of the room for session policies and tags is taken. Errors: PackedPolicyTooLarge."""
    arns = (one["arn"] for one in request.get("PolicyArns", ()))
    tags = (one["Key"] + one["Value"] for one in request.get("Tags", ()))
    size_bytes = sum(len(text.encode()) for text in (request.get("Policy", ""), *arns, *tags))
    percent = -(-size_bytes * 100 // PACKED_BYTES_MAX)
    if percent > 100:
        raise AwsError(
            "PackedPolicyTooLarge",
            f"Packed size of session tags consumes {percent}% of allotted space.",
        )
    return percent
