"""Terms: `ERROR`, `"an exact phrase"`, `-unwanted`, `?this ?or ?that`.

A message matches if it contains every plain term and no unwanted one, as texts, with regard to
case. Optional terms matter only where there are no others: then one of them must be there.
"""

import re

from msgspec import Struct

from lambent.services.logs.patterns.comparisons import PatternError, Values

_TERM = re.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))(?=\s|$)', re.DOTALL)


class Terms(Struct, frozen=True):
    """A compiled pattern of terms."""

    wanted: tuple[str, ...]
    unwanted: tuple[str, ...]
    optional: tuple[str, ...]

    def matches(self, message: str) -> bool:
        """Whether the message has the terms."""
        for term in self.wanted:
            if term not in message:
                return False
        for term in self.unwanted:
            if term in message:
                return False
        if self.wanted or self.unwanted or not self.optional:
            return True
        return any(term in message for term in self.optional)

    def extract(self, message: str) -> Values:  # noqa: ARG002
        """Terms name no values."""
        return {}


def parse_terms(text: str) -> Terms:
    """Compile a pattern of terms. Errors: PatternError."""
    found: dict[str, list[str]] = {"": [], "-": [], "?": []}
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TERM.match(text, at)
        if match is None:
            raise PatternError(f"unexpected {text[at : at + 10]!r}")
        mark, phrase, word = match.groups()
        if word is not None and word.startswith("%") and word.endswith("%") and len(word) > 1:
            raise PatternError("regular expressions are not supported by Lambent yet")
        term = word if phrase is None else re.sub(r"\\(.)", r"\1", phrase, flags=re.DOTALL)
        found[mark].append(term)
        at = match.end()
    return Terms(tuple(found[""]), tuple(found["-"]), tuple(found["?"]))
