"""Filter patterns: terms, JSON properties, space-delimited columns. Pure.

The first character says which kind: `{` looks into JSON, `[` splits into columns, anything else
looks for terms. Read first: `terms.py`, then `comparisons.py`, which the other two share.
Source: https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
"""

from functools import lru_cache

from lambent.base.errors import AwsError
from lambent.services.logs.patterns.columns import parse_columns
from lambent.services.logs.patterns.comparisons import Pattern, PatternError
from lambent.services.logs.patterns.properties import parse_properties
from lambent.services.logs.patterns.terms import parse_terms

__all__ = ["Pattern", "compile_pattern"]


@lru_cache(maxsize=256)
def compile_pattern(text: str) -> Pattern:
    """The compiled pattern. Errors: InvalidParameterException."""
    stripped = text.strip()
    try:
        if stripped.startswith("{"):
            return parse_properties(stripped)
        if stripped.startswith("["):
            return parse_columns(stripped)
        return parse_terms(stripped)
    except PatternError as error:
        message = f"Invalid filter pattern: {error}"
        raise AwsError("InvalidParameterException", message) from None
