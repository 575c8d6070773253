"""Declarations: what traits serve for functions.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html
"""

from lambent.base.arn import Arn
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.kernel.traits import Tagging
from lambent.services.lambda_.configuration import check_idle, invalid
from lambent.services.lambda_.names import not_found
from lambent.services.lambda_.packages import blob_of
from lambent.store.protocol import Change, Put


async def _function(ctx: Ctx, request: Wire) -> str:
    """The unqualified function ARN that a tag operation names."""
    text: str = request["Resource"]
    arn = Arn.parse(text)
    kind, _, rest = arn.resource.partition(":")
    name, _, qualifier = rest.partition(":")
    if kind != "function":
        raise AwsError("ResourceNotFoundException", f"{kind} not found: {text}")
    if qualifier:
        raise invalid(
            "Tags on function aliases and versions are not supported. Please specify a function "
            "ARN."
        )
    if arn.account != ctx.account:
        raise AwsError("AccessDeniedException", None, status=403)
    record = await ctx.get("Function", name) if arn.region == ctx.region else None
    if record is None:
        raise not_found(text)
    return text


async def _revised(ctx: Ctx, arn: str) -> tuple[Change, ...]:
    """Tags are part of what a revision names. Errors: ResourceConflictException."""
    record = await ctx.get("Function", Arn.parse(arn).resource.partition(":")[2])
    if record is None:
        raise not_found(arn)
    check_idle(record.value)
    value = record.value | {"RevisionId": ctx.platform.ids.uuid()}
    return (Put(record.key, value, expect=record.version, blobs=(blob_of(value),)),)


TAGS = Tagging(
    resolve=_function,
    tag="TagResource",
    untag="UntagResource",
    read="ListTags",
    touched=_revised,
    too_many=lambda: invalid("Number of tags exceeds resource tag limit."),
)
