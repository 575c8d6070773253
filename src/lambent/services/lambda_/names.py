"""How a request names a function: name, partial ARN or ARN, with or without a qualifier.

Pure. Source: https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html (FunctionName),
and the recorded answers for odd forms.
"""

import re

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.kernel import Ctx, Wire

LATEST = "$LATEST"

_FORM = re.compile(
    r"(?:arn:(?P<partition>aws[a-zA-Z-]*):lambda:)?"
    r"(?:(?P<region>(?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?"
    r"(?:(?P<account>\d{12}):)?"
    r"(?:function:)?"
    r"(?P<name>[a-zA-Z0-9-_.]+)"
    r"(?::(?P<qualifier>\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_]+))?"
)


class Address(Struct, frozen=True):
    """A function, and the qualifier if one was given."""

    name: str
    qualifier: str | None

    def arn(self, ctx: Ctx, qualifier: str | None = None) -> str:
        """The function's ARN, with `qualifier` if there is one."""
        return function_arn(ctx, self.name, qualifier)


def function_arn(ctx: Ctx, name: str, qualifier: str | None = None) -> str:
    """`arn:aws:lambda:region:account:function:name[:qualifier]`."""
    return ctx.arn(f"function:{name}:{qualifier}" if qualifier else f"function:{name}")


def parse(ctx: Ctx, request: Wire) -> Address:
    """The function that `FunctionName` and `Qualifier` of a request name.

    Errors: InvalidParameterValueException (qualifiers differ), ResourceNotFoundException (another
    region), AccessDeniedException (another account).
    """
    text: str = request["FunctionName"]
    match = _FORM.fullmatch(text)
    if match is None:  # the model's pattern let it through: a name that cannot exist
        raise not_found(ctx.arn(f"function:{text}"))
    region, account = match["region"], match["account"]
    if region and region != ctx.region:
        message = f"Functions from '{region}' are not reachable in this region ('{ctx.region}')"
        raise AwsError("ResourceNotFoundException", message)
    if account and account != ctx.account:
        raise AwsError("AccessDeniedException", None, status=403)
    derived, given = match["qualifier"], request.get("Qualifier")
    if derived and given and derived != given:
        raise AwsError(
            "InvalidParameterValueException",
            "The derived qualifier from the function name does not match the specified qualifier.",
        )
    return Address(match["name"], given or derived)


def not_found(arn: str) -> AwsError:
    """`Function not found: <arn>`."""
    return AwsError("ResourceNotFoundException", f"Function not found: {arn}")
