"""The model's regular expressions, as Python understands them.

AWS's patterns are Java's: classes by Unicode property (`\\p{L}`), ASCII `\\d \\w \\s`, surrogate
pairs in ranges, named groups without the P. They are translated token by token, compiled on first
use and cached. A pattern that Python cannot express compiles to None and is not enforced; the tests
hold the list of those (tests/wire/test_patterns.py), so that none goes missing unnoticed.
Source: https://docs.oracle.com/javase/8/docs/api/java/util/regex/Pattern.html
"""

import re
import unicodedata
import warnings
from functools import cache, lru_cache

LENGTH_MAX = 65_536
"""Texts longer than this are not matched: their length is some other constraint's business."""

_ASSIGNED_MAX = 0x323B0
_ASCII = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " \\t\\n\\x0b\\f\\r", "h": " \\t\\xa0\\u3000"}
_POSIX = {
    "Alnum": "a-zA-Z0-9",
    "Alpha": "a-zA-Z",
    "ASCII": "\\x00-\\x7f",
    "Blank": " \\t",
    "Cntrl": "\\x00-\\x1f\\x7f",
    "Digit": "0-9",
    "Graph": "!-~",
    "Lower": "a-z",
    "Print": " -~",
    "Punct": "!-/:-@\\[-`{-~",
    "Space": " \\t\\n\\x0b\\f\\r",
    "Upper": "A-Z",
    "Word": "\\w",
    "XDigit": "0-9A-Fa-f",
    "Z": " \\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000",
    "IsLatin": "a-zA-Zªºà-öø-ÿÀ-ÖØ-ÞĀ-ɏḀ-ỿ",
}
_PROPERTY = re.compile(r"([pP])(?:\{(?:Is)?(?:gc=)?(\w+)\}|([A-Z]))")
_SURROGATES = re.compile(r"\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_WIDE = re.compile(r"[ux]\{([0-9a-fA-F]{1,6})\}")


_LINEAR = {
    r"^[ \t]*[^\x00-\x1F:\x7F]+([ \t]+[^\x00-\x1F:\x7F]+)*[ \t]*$": (
        r"^\t*[^\x00-\x1F:\x7F][^\x00-\x08\x0A-\x1F:\x7F]*$"
    ),
    r"^[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*$": r"^\t*[\x20-\x7E][\t\x20-\x7E]*$",
    r"[ \t]*[\x20-\x7E]+([ \t]+[\x20-\x7E]+)*[ \t]*|(\$(\.[\w/_-]+(\[(\d+|\*)\])*)*)": (
        r"\t*[\x20-\x7E][\t\x20-\x7E]*|(\$(\.[\w/_-]+(\[(\d+|\*)\])*)*)"
    ),
    r"^[a-z0-9*](?:[._\-/a-z0-9*]?[a-z0-9*]+)*$": r"^[a-z0-9*]+(?:[._\-/][a-z0-9*]+)*$",
}
"""Patterns on which a short hostile text takes years, and the same languages without ambiguity.

Found by trying repetitive texts on every pattern of the services that Lambent serves.
"""


@lru_cache(4096)
def compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """The translated pattern, for `fullmatch`; None when Python has no equivalent."""
    pattern = _LINEAR.get(pattern, pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return re.compile(_translate(pattern))
    except (re.error, FutureWarning, DeprecationWarning, OverflowError, KeyError, ValueError):
        return None


def _translate(pattern: str) -> str:
    out: list[str] = []
    position, in_class = 0, False
    text = _SURROGATES.sub(_join_surrogates, pattern)
    while position < len(text):
        char = text[position]
        if char == "\\":
            piece, position = _escape(text, position + 1, in_class)
            out.append(piece)
            if in_class and len(piece) > 2 and text.startswith("-", position):
                out.append("\\-")  # after a set of characters a dash cannot mean a range
                position += 1
            continue
        if in_class:
            if char == "]" and not _opens_class(text, position):
                in_class = False
            out.append("\\" + char if char in "[&~|" else char)
        elif char == "[":
            in_class = True
            out.append(char)
            text = _shorten(text, position)
        elif text.startswith("(?<", position) and text[position + 3 : position + 4] not in "=!":
            out.append("(?P<")
            position += 2
        else:
            out.append(char)
        position += 1
    return "".join(out)


def _shorten(text: str, position: int) -> str:
    """Letters, numbers and `_` in one class are exactly Python's `\\w`: no ranges are needed."""
    end = text.find("]", position + 2)
    inside = text[position:end]
    if end < 0 or not all(part in inside for part in ("\\p{L}", "\\p{N}", "_")):
        return text
    inside = inside.replace("\\p{N}", "").replace("\\p{L}", "\\p{Word}")
    return text[:position] + inside + text[end:]


def _opens_class(text: str, position: int) -> bool:
    """Whether a `]` stands first in its class and so means itself."""
    return text[position - 1] == "[" and text[position - 2 : position - 1] != "\\"


def _join_surrogates(found: re.Match[str]) -> str:
    high, low = int(found[1], 16), int(found[2], 16)
    return f"\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _escape(text: str, position: int, in_class: bool) -> tuple[str, int]:
    """The translation of the escape whose letter is at `position`, and where it ends."""
    char = text[position : position + 1]
    found = _PROPERTY.match(text, position)
    if found is not None:
        ranges = _property(found[2] or found[3])
        return _as_class(ranges, found[1] == "P", in_class), found.end()
    wide = _WIDE.match(text, position)
    if wide is not None:
        return f"\\U{int(wide[1], 16):08x}", wide.end()
    if char.lower() in _ASCII and char:
        return _as_class(_ASCII[char.lower()], char.isupper(), in_class), position + 1
    if char in ("z", "Z"):
        return "\\Z", position + 1
    return "\\" + char, position + 1


def _as_class(ranges: str, negated: bool, in_class: bool) -> str:
    if not in_class:
        return f"[{'^' if negated else ''}{ranges}]"
    if negated:
        return _complement(ranges)
    return ranges


def _property(name: str) -> str:
    if name in _POSIX:
        return _POSIX[name]
    if name in ("Latin", "Alphabetic"):
        return _POSIX["IsLatin"] if name == "Latin" else _category_ranges()["L"]
    return _category_ranges()[name]


@cache
def _category_ranges() -> dict[str, str]:
    """Character ranges by general category and by its first letter; 25 ms, once, when needed.

    Planes 4 to 13 are unassigned; planes 14 to 16 hold tags and private use, which no name needs.
    """
    spans: dict[str, list[str]] = {}
    start, current = 0, ""
    for point, category in enumerate(map(unicodedata.category, map(chr, range(_ASSIGNED_MAX)))):
        if category != current:
            if current:
                spans.setdefault(current, []).append(_span(start, point - 1))
            start, current = point, category
    ranges = {name: "".join(parts) for name, parts in spans.items()}
    for name, text in list(ranges.items()):
        ranges[name[0]] = ranges.get(name[0], "") + text
    return ranges


def _span(first: int, last: int) -> str:
    return f"\\U{first:08x}" if first == last else f"\\U{first:08x}-\\U{last:08x}"


def _complement(ranges: str) -> str:
    """Everything but `ranges`, as ranges: for a negated escape inside a class."""
    inside = re.compile(f"[{ranges}]")
    spans, start = [], -1
    for point in range(0x3000):
        outside = inside.match(chr(point)) is None
        if outside and start < 0:
            start = point
        elif not outside and start >= 0:
            spans.append(_span(start, point - 1))
            start = -1
    return "".join(spans) + "\\u3000-\\U0010ffff"
