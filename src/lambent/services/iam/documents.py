"""Policy documents: what AWS refuses when one is stored, with its texts.

Pure. It refuses what AWS refuses and no more: whether an action or a condition key exists is not
asked, because AWS stores policies that name services it does not know.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
"""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec

from lambent.base.errors import AwsError

CODE = "MalformedPolicyDocument"
SYNTAX = "Syntax errors in policy."
VERSIONS = ("2012-10-17", "2008-10-17")
ACTIONS_OF_TRUST = ("sts:", "*")

_TOP = {"Version", "Id", "Statement"}
_STATEMENT = {
    "Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource",
    "Condition",
}  # fmt: skip
_SID = re.compile(r"[0-9A-Za-z]*")
_decode = msgspec.json.Decoder().decode

Statement = dict[str, Any]


def encoded(document: str) -> str:
    """A document as IAM answers it: percent-encoded (RFC 3986)."""
    return quote(document, safe="")


def size_chars(document: str) -> int:
    """The characters that count towards a quota: those that are not white space."""
    return len("".join(document.split()))


def check_identity(document: str) -> None:
    """Refuse what cannot be an inline policy. Errors: MalformedPolicyDocument."""
    statements = _statements(document, SYNTAX)
    for statement in statements:
        if "Principal" in statement or "NotPrincipal" in statement:
            raise _malformed("Policy document should not specify a principal.")
        _check_actions(statement)
        _check_resources(statement)
    _check_sids(statements)


def check_managed(document: str) -> None:
    """Refuse what cannot be a managed policy: it must also say the current version."""
    check_identity(document)
    if _decode(document).get("Version") != VERSIONS[0]:
        raise _malformed("Policy document must be version 2012-10-17 or greater.")


def check_trust(document: str) -> None:
    """Refuse what cannot be a role's trust policy. Errors: MalformedPolicyDocument."""
    statements = _statements(document, "This policy contains invalid Json")
    for statement in statements:
        if "Resource" in statement or "NotResource" in statement:
            raise _malformed("Has prohibited field Resource")
        if not (statement.get("Principal") or statement.get("NotPrincipal")):
            raise _malformed("Missing required field Principal")
        actions = _check_actions(statement)
        if not all(action.lower().startswith(ACTIONS_OF_TRUST) for action in actions):
            raise _malformed("AssumeRole policy may only specify STS AssumeRole actions.")
    _check_sids(statements)


def _malformed(text: str) -> AwsError:
    return AwsError(CODE, text)


def _statements(document: str, not_json: str) -> list[Statement]:
    try:
        policy = _decode(document)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        raise _malformed(not_json) from None
    if not isinstance(policy, dict) or not policy.keys() <= _TOP:
        raise _malformed(SYNTAX)
    if policy.get("Version", VERSIONS[0]) not in VERSIONS:
        raise _malformed(SYNTAX)
    statements = policy.get("Statement")
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not statements:
        raise _malformed(SYNTAX)
    for statement in statements:
        _check_statement(statement)
    return statements


def _check_statement(statement: Any) -> None:
    if not isinstance(statement, dict) or not statement.keys() <= _STATEMENT:
        raise _malformed(SYNTAX)
    if statement.get("Effect") not in ("Allow", "Deny"):
        raise _malformed(SYNTAX)
    for one, other in (("Action", "NotAction"), ("Resource", "NotResource")):
        if one in statement and other in statement:
            raise _malformed(SYNTAX)
    condition = statement.get("Condition", {})
    if not isinstance(condition, dict) or not all(isinstance(v, dict) for v in condition.values()):
        raise _malformed(SYNTAX)


def _texts(statement: Statement, *names: str) -> list[str] | None:
    """The one text or the list of texts under any of `names`; None if there is none."""
    for name in names:
        if name in statement:
            value = statement[name]
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise _malformed(SYNTAX)
            return texts
    return None


def _check_actions(statement: Statement) -> list[str]:
    actions = _texts(statement, "Action", "NotAction")
    if not actions:
        raise _malformed("Policy statement must contain actions.")
    for action in actions:
        if action != "*" and not action.partition(":")[2]:
            raise _malformed(
                "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
            )
    return actions


def _check_resources(statement: Statement) -> None:
    resources = _texts(statement, "Resource", "NotResource")
    if not resources:
        raise _malformed("Policy statement must contain resources.")
    for resource in resources:
        if not resource.startswith(("*", "arn:", "${")):
            raise _malformed(f'Resource {resource} must be in ARN format or "*".')


def _check_sids(statements: Iterable[Statement]) -> None:
    seen = set()
    for statement in statements:
        sid = statement.get("Sid", "")
        if not isinstance(sid, str):
            raise _malformed(SYNTAX)
        if _SID.fullmatch(sid) is None:
            raise _malformed(
                "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the "
                "regular expression [0-9A-Za-z]*"
            )
        if sid and sid in seen:
            raise _malformed("Statement IDs (SID) in a single policy must be unique.")
        seen.add(sid)
