"""names.py: every way to name a function."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from lambent.base.errors import AwsError
from lambent.kernel import Ctx
from lambent.services.lambda_.names import Address, parse


class _Ctx(SimpleNamespace):
    account, region = "111111111111", "eu-west-1"

    def arn(self, resource: str) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:{resource}"


CTX = cast("Ctx", _Ctx())
ARN = "arn:aws:lambda:eu-west-1:111111111111:function:f"


@pytest.mark.parametrize(
    ("name", "qualifier", "expected"),
    [
        ("f", None, Address("f", None)),
        ("f:1", None, Address("f", "1")),
        ("f", "live", Address("f", "live")),
        ("f:live", "live", Address("f", "live")),
        ("f:$LATEST", None, Address("f", "$LATEST")),
        ("function:f", None, Address("f", None)),
        ("111111111111:function:f:2", None, Address("f", "2")),
        (ARN, None, Address("f", None)),
        (f"{ARN}:7", None, Address("f", "7")),
        ("function", None, Address("function", None)),
    ],
)
def test_forms(name: str, qualifier: str | None, expected: Address) -> None:
    request: dict[str, Any] = {"FunctionName": name}
    if qualifier:
        request["Qualifier"] = qualifier
    assert parse(CTX, request) == expected


def test_different_qualifiers_are_refused() -> None:
    with pytest.raises(AwsError, match="derived qualifier from the function name does not match"):
        parse(CTX, {"FunctionName": "f:1", "Qualifier": "2"})


def test_another_region_is_out_of_reach() -> None:
    name = "arn:aws:lambda:us-west-2:111111111111:function:f"
    with pytest.raises(AwsError) as caught:
        parse(CTX, {"FunctionName": name})
    assert caught.value.code == "ResourceNotFoundException"
    text = "Functions from 'us-west-2' are not reachable in this region ('eu-west-1')"
    assert caught.value.message == text


def test_another_account_is_denied_without_a_word() -> None:
    with pytest.raises(AwsError) as caught:
        parse(CTX, {"FunctionName": "222222222222:function:f"})
    assert (caught.value.code, caught.value.message) == ("AccessDeniedException", None)
    assert caught.value.status == 403


def test_the_arn_carries_the_qualifier() -> None:
    address = Address("f", None)
    assert address.arn(CTX) == ARN
    assert address.arn(CTX, "$LATEST") == f"{ARN}:$LATEST"
