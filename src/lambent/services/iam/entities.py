"""What all IAM nouns have in common: texts, ids, paging, and who a request means by no name.

An id tells its kind by its first four letters and is never used again, unlike a name.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
"""

from collections.abc import Awaitable, Callable
from typing import Any

from lambent.base.arn import Arn
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.kernel.traits import Missing, Paging, Tagging
from lambent.services.iam.limits import LIST_USUAL

PAGED: dict[str, Any] = {
    "list_usual": LIST_USUAL,
    "bad_token": Missing("ValidationError", "Invalid Marker: {Marker}"),
    "fold": True,
}
"""How IAM lists, and how it compares names: case makes no difference."""

PAGING = Paging(input="Marker", output="Marker", limit="MaxItems", more="IsTruncated")
_ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
PROTECTED = "/aws-service-role/"


def no_such(noun: str) -> Missing:
    """The answer when a role, user, group or policy of an entity is not there."""
    return Missing("NoSuchEntity", f"The {noun} with name {{id}} cannot be found.")


def taken(noun: str) -> Missing:
    """The answer when a name is taken."""
    return Missing("EntityAlreadyExists", f"{noun} with name {{id}} already exists.")


def delete_conflict(what: str) -> AwsError:
    """The refusal to delete an entity that still has something."""
    return AwsError("DeleteConflict", f"Cannot delete entity, must {what} first.")


def over_quota(quota: str, most: int) -> AwsError:
    """The refusal of one more."""
    return AwsError("LimitExceeded", f"Cannot exceed quota for {quota}: {most}")


def new_id(ctx: Ctx, prefix: str) -> str:
    """A unique id, such as `AROA` and 17 letters and digits."""
    return prefix + ctx.platform.ids.text(17, _ID_ALPHABET)


def now_s(ctx: Ctx) -> int:
    """Platform time in whole seconds: what IAM's dates are precise to."""
    return int(ctx.now())


def entity(kind: str, name: str, id_member: str, prefix: str) -> Callable[[Ctx, Wire], Wire]:
    """The members that AWS adds to a new entity whose ARN is `kind` + path + name."""

    def computed(ctx: Ctx, request: Wire) -> Wire:
        path = request.get("Path", "/")
        return {
            "Path": path,
            id_member: new_id(ctx, prefix),
            "Arn": ctx.arn(f"{kind}{path}{request[name]}", region=""),
            "CreateDate": now_s(ctx),
        }

    return computed


def under_path(request: Wire, record: Wire) -> bool:
    """Whether a list with `PathPrefix` shows a record."""
    path: str = record["Path"]
    return path.startswith(request.get("PathPrefix", "/"))


def check_tag_keys(keys: list[str]) -> None:
    """Refuse what cannot be tagged. Errors: InvalidInput."""
    if len({key.lower() for key in keys}) < len(keys):
        raise AwsError(
            "InvalidInput",
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        )
    if any(key.lower().startswith("aws:") for key in keys):
        raise AwsError("InvalidInput", "Tag keys beginning with 'aws:' are reserved.")


def tagging(resolve: Callable[[Ctx, Wire], Awaitable[str]], *names: str) -> Tagging:
    """IAM's way with tags; `names` are the operations Tag, Untag and List."""
    tag, untag, read = names
    return Tagging(
        resolve=resolve,
        tag=tag,
        untag=untag,
        read=read,
        pairs=True,
        paging=PAGING,
        check=check_tag_keys,
        too_many=lambda: over_quota("TagsPerEntity", 50),
    )


def refuse_protected(role: Wire) -> None:
    """Only AWS changes a service-linked role. Errors: UnmodifiableEntity."""
    if role["Path"].startswith(PROTECTED):
        raise AwsError(
            "UnmodifiableEntity",
            f"Cannot perform the operation on the protected role '{role['RoleName']}' - "
            "this role is only modifiable by AWS",
        )


def caller_name(ctx: Ctx) -> str:
    """The user who asks; empty for the account itself. Errors: ValidationError for a role."""
    resource = Arn.parse(ctx.principal.arn).resource
    if resource == "root":
        return ""
    if resource.startswith("user/"):
        return resource.rsplit("/", 1)[-1]
    raise AwsError(
        "ValidationError", "Must specify userName when calling with non-User credentials"
    )
