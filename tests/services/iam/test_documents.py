"""Policy documents: what is refused, and in which words."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.services.iam.documents import check_identity, check_managed, check_trust, size_chars

SYNTAX = "Syntax errors in policy."
GOOD: dict[str, Any] = {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b"}
TRUST: dict[str, Any] = {
    "Effect": "Allow",
    "Action": "sts:AssumeRole",
    "Principal": {"Service": "lambda.amazonaws.com"},
}


def policy(*statements: Any, **more: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)} | more)


def refused(check: Any, text: str) -> str:
    with pytest.raises(AwsError) as caught:
        check(text)
    assert caught.value.code == "MalformedPolicyDocument"
    return caught.value.message or ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", SYNTAX),
        ("nonsense", SYNTAX),
        ("[]", SYNTAX),
        ("[" * 10_000, SYNTAX),
        (json.dumps({"Version": "2012-10-17"}), SYNTAX),
        (policy(), SYNTAX),
        (policy("x"), SYNTAX),
        (policy(GOOD, Extra=1), SYNTAX),
        (policy(GOOD | {"Extra": 1}), SYNTAX),
        (policy(GOOD, Version="2013-10-17"), SYNTAX),
        (policy(GOOD | {"Effect": "allow"}), SYNTAX),
        (policy(GOOD | {"Action": 3}), SYNTAX),
        (policy(GOOD | {"NotAction": "s3:Put"}), SYNTAX),
        (policy(GOOD | {"Condition": []}), SYNTAX),
        (policy(GOOD | {"Condition": {"StringEquals": "x"}}), SYNTAX),
        (policy(GOOD | {"Sid": 3}), SYNTAX),
        (policy(GOOD | {"Action": []}), "Policy statement must contain actions."),
        (policy(GOOD | {"Resource": []}), "Policy statement must contain resources."),
        (
            policy(GOOD | {"Action": "GetObject"}),
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.",
        ),
        (policy(GOOD | {"Resource": "b"}), 'Resource b must be in ARN format or "*".'),
        (
            policy(GOOD | {"Principal": "*"}),
            "Policy document should not specify a principal.",
        ),
        (
            policy(GOOD | {"Sid": "a"}, GOOD | {"Sid": "a"}),
            "Statement IDs (SID) in a single policy must be unique.",
        ),
        (
            policy(GOOD | {"Sid": "a b"}),
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the "
            "regular expression [0-9A-Za-z]*",
        ),
    ],
)
def test_identity_policies_that_are_refused(text: str, message: str) -> None:
    assert refused(check_identity, text) == message
    assert refused(check_managed, text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "This policy contains invalid Json"),
        (policy(TRUST | {"Resource": "*"}), "Has prohibited field Resource"),
        (
            policy({"Effect": "Allow", "Action": "sts:AssumeRole"}),
            "Missing required field Principal",
        ),
        (
            policy(TRUST | {"Action": "s3:GetObject"}),
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
    ],
)
def test_trust_policies_that_are_refused(text: str, message: str) -> None:
    assert refused(check_trust, text) == message


def test_what_is_accepted() -> None:
    old = json.dumps({"Version": "2008-10-17", "Statement": GOOD})
    check_identity(old)
    assert "2012-10-17 or greater" in refused(check_managed, old)
    without = {name: value for name, value in GOOD.items() if name not in ("Action", "Resource")}
    for statement in (
        GOOD,
        GOOD | {"Action": "*", "Resource": "*"},
        GOOD | {"Action": ["apigatway:PUT"], "Sid": ""},
        without | {"NotAction": "iam:*", "NotResource": ["arn:aws:s3:::a", "*"]},
        GOOD | {"Condition": {"StringEquals": {"aws:SourceArn": ["a", "b"]}}},
    ):
        check_managed(policy(statement))
    check_trust(policy(TRUST | {"Action": ["sts:AssumeRole", "sts:TagSession"]}))


@given(
    st.text(max_size=100)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["Version", "Statement", "Effect", "Action", "Resource", "Sid"]),
                inner,
            )
        ),
    ).map(json.dumps)
)
def test_any_text_is_accepted_or_refused_in_words(text: str) -> None:
    for check in (check_identity, check_managed, check_trust):
        with contextlib.suppress(AwsError):  # anything else would be a mistake of ours
            check(text)


def test_sizes_leave_out_white_space() -> None:
    assert size_chars(' { "a" :\n\t1 } ') == len('{"a":1}')
