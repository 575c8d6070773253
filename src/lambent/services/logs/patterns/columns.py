"""Space-delimited columns: `[ip, user, ..., status = 4*, bytes > 1000]`.

A message is split at spaces; what stands in brackets or double quotes is one column. It must have
as many columns as the pattern names; one `...` stands for any number of them.
"""

import re
from collections.abc import Callable

from msgspec import Struct

from lambent.services.logs.patterns.comparisons import (
    OPERATORS,
    Column,
    Tokens,
    Values,
    comparison,
)

Test = Callable[[Column], bool]
_COLUMN = re.compile(r'\[([^\]]*)\](?=\s|$)|"((?:[^"\\]|\\.)*)"(?=\s|$)|(\S+)', re.DOTALL)
_REST = "..."


class Columns(Struct, frozen=True):
    """A compiled pattern of columns. `rest` is where the ellipsis is, -1 if there is none."""

    names: tuple[str, ...]
    tests: tuple[Test | None, ...]
    rest: int

    def matches(self, message: str) -> bool:
        """Whether the message has these columns."""
        columns = self._aligned(message)
        return columns is not None and all(
            test is None or test(column) for test, column in zip(self.tests, columns, strict=True)
        )

    def extract(self, message: str) -> Values:
        """Every column by its name, `$1` and so on for those without."""
        columns = self._aligned(message) or []
        return {
            f"${name or number}": str(column)
            for number, (name, column) in enumerate(zip(self.names, columns, strict=True), 1)
        }

    def _aligned(self, message: str) -> list[Column] | None:
        """The columns that the pattern names; None if there are too few or too many."""
        columns = split(message)
        count = len(self.names)
        if self.rest < 0:
            return columns if len(columns) == count else None
        if len(columns) < count:
            return None
        return columns[: self.rest] + columns[len(columns) - (count - self.rest) :]


def split(message: str) -> list[Column]:
    """The columns of a message."""
    return [
        Column(next(part for part in found.groups() if part is not None))
        for found in _COLUMN.finditer(message.strip())
    ]


def parse_columns(text: str) -> Columns:
    """Compile a pattern of columns. Errors: PatternError."""
    tokens = Tokens(text)
    tokens.expect("[")
    names: list[str] = []
    tests: list[Test | None] = []
    rest = -1
    while True:
        if tokens.now.kind == "word" and tokens.now.text == _REST:
            if rest >= 0:
                tokens.fail("only one ellipsis is allowed")
            tokens.take()
            rest = len(names)
        else:
            name, test = _column(tokens)
            names.append(name)
            tests.append(test)
        if tokens.expect(",", "]") == "]":
            break
    if tokens.now.kind != "end":
        tokens.fail("nothing may follow the closing bracket")
    return Columns(tuple(names), tuple(tests), rest)


def _column(tokens: Tokens) -> tuple[str, Test | None]:
    if tokens.now.kind != "word":
        if tokens.now.text in (",", "]"):
            return "", None
        tokens.fail("expected the name of a column")
    name = tokens.now.text
    tests = [_all_of(tokens, name)]
    while tokens.accept("||"):
        tests.append(_all_of(tokens, name))
    if tests == [None]:
        return name, None
    some = [test for test in tests if test is not None]
    return name, lambda column: any(test(column) for test in some)


def _all_of(tokens: Tokens, name: str) -> Test | None:
    tests = [_one(tokens, name)]
    while tokens.accept("&&"):
        tests.append(_one(tokens, name))
    some = [test for test in tests if test is not None]
    if len(some) < len(tests):
        return None if not some else tokens.fail("a condition is missing")
    return lambda column: all(test(column) for test in some)


def _one(tokens: Tokens, name: str) -> Test | None:
    if tokens.now.kind != "word" or tokens.now.text != name:
        tokens.fail(f"expected {name!r}")
    tokens.take()
    operator = tokens.accept(*OPERATORS)
    return comparison(operator, tokens.take().value) if operator else None
