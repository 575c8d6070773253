"""Declarations: what traits serve for functions.

Source: https://docs.aws.amazon.com/lambda/latest/dg/configuration-tags.html
"""

from lambent.base.arn import Arn
from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire
from lambent.kernel.traits import Tagging
from lambent.services.lambda_.configuration import invalid
from lambent.services.lambda_.names import not_found


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


TAGS = Tagging(
    resolve=_function,
    tag="TagResource",
    untag="UntagResource",
    read="ListTags",
    too_many=lambda: invalid("Number of tags exceeds resource tag limit."),
)
