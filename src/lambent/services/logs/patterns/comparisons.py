"""What the kinds of patterns share: what a pattern can do, tokens, and comparing a value.

An unquoted value that looks like a number is compared as one and `*` in a text stands for anything;
regular expressions (`%...%`) are refused.
"""

import re
from collections.abc import Callable, Iterator
from typing import NoReturn, Protocol

from msgspec import Struct

Values = dict[str, str]
Compare = Callable[[object], bool]
DEPTH_MAX = 32
"""Parentheses in parentheses."""

_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
OPERATORS = ("!=", "<>", "<=", ">=", "=", "<", ">")


class PatternError(ValueError):
    """The pattern cannot be understood; the text says where."""


class Pattern(Protocol):
    """A compiled pattern."""

    def matches(self, message: str) -> bool:
        """Whether it matches a message."""

    def extract(self, message: str) -> Values:
        """What it looks at in a message that it matches, by the names it has for it."""


class Value(Struct, frozen=True):
    """The right side of a comparison."""

    text: str
    quoted: bool

    @property
    def number(self) -> float | None:
        """As a number, if it is one."""
        if self.quoted or _NUMBER.fullmatch(self.text) is None:
            return None
        return float(self.text)


def comparison(operator: str, value: Value) -> Compare:
    """How to compare a value of a message with `value`. Errors: PatternError."""
    number = value.number
    if operator in ("=", "!=", "<>"):
        wanted = operator == "="
        equal = _equal_text(value.text) if number is None else _equal_number(number, value.text)
        return lambda found: equal(found) is wanted
    if number is None:
        raise PatternError(f"{operator} needs a number, not {value.text!r}")
    return _ordered(operator, number)


def _equal_text(text: str) -> Compare:
    if "*" not in text:
        return lambda found: found == text
    parts = text.split("*")
    return lambda found: isinstance(found, str) and like(parts, found)


def like(parts: list[str], text: str) -> bool:
    """Whether `text` is `parts` joined by anything: each is looked for where it is first."""
    first, *middle, last = parts
    if len(text) < len(first) + len(last) or not text.startswith(first):
        return False
    if not text.endswith(last):
        return False
    at, end = len(first), len(text) - len(last)
    for part in middle:
        found = text.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def _equal_number(number: float, text: str) -> Compare:
    def equal(found: object) -> bool:
        value = as_number(found)
        return found == text if value is None else value == number

    return equal


def _ordered(operator: str, number: float) -> Compare:
    def compare(found: object) -> bool:
        value = as_number(found)
        if value is None:
            return False
        if operator == "<":
            return value < number
        if operator == "<=":
            return value <= number
        return value > number if operator == ">" else value >= number

    return compare


def as_number(found: object) -> float | None:
    """A JSON number, or a column that looks like one."""
    if isinstance(found, bool):
        return None
    if isinstance(found, int | float):
        return float(found)
    if isinstance(found, Column) and _NUMBER.fullmatch(found):
        return float(found)
    return None


class Column(str):
    """A column of a message: a text that may be meant as a number."""

    __slots__ = ()


_TOKEN = re.compile(
    r"""\s*(?:
        (?P<quoted>"(?:[^"\\]|\\.)*")
      | (?P<symbol>&&|\|\||!=|<>|<=|>=|[=<>(){}\[\],])
      | (?P<word>(?:[^\s"=<>(){}\[\],&|!]|&(?!&)|\|(?!\|)|!(?!=))+)
    )""",
    re.VERBOSE | re.DOTALL,
)


class Token(Struct, frozen=True):
    """One token; `kind` is quoted, symbol, word or end."""

    kind: str
    text: str

    @property
    def value(self) -> Value:
        """As the right side of a comparison. Errors: PatternError."""
        if self.kind not in ("quoted", "word"):
            raise PatternError(f"a value is missing before {self.text!r}")
        if self.kind == "word" and self.text.startswith("%"):
            raise PatternError("regular expressions are not supported by Lambent yet")
        return Value(self.text, self.kind == "quoted")


class Tokens:
    """A pattern, token by token."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_scan(text))
        self._at = 0

    @property
    def now(self) -> Token:
        """The token at hand."""
        return self._tokens[self._at]

    def take(self) -> Token:
        """The token at hand; goes on to the next."""
        token = self.now
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def accept(self, *symbols: str) -> str:
        """The symbol at hand if it is one of these, taken; else nothing."""
        if self.now.kind == "symbol" and self.now.text in symbols:
            return self.take().text
        return ""

    def expect(self, *symbols: str) -> str:
        """The symbol at hand, which must be one of these. Errors: PatternError."""
        return self.accept(*symbols) or self.fail(f"expected {' or '.join(symbols)}")

    def fail(self, why: str) -> NoReturn:
        """Refuse the pattern."""
        raise PatternError(f"{why} at {self.now.text!r}")


def _scan(text: str) -> Iterator[Token]:
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise PatternError(f"unexpected {text[at : at + 10]!r}")
        at = found.end()
        part = found[found.lastgroup]
        if found.lastgroup == "quoted":
            part = re.sub(r"\\(.)", r"\1", part[1:-1], flags=re.DOTALL)
        yield Token(found.lastgroup, part)
    yield Token("end", "")
