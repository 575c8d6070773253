"""JSON properties: `{ $.level = "ERROR" && ($.latency > 100 || $.user IS NULL) }`.

A message that is not a JSON object or array matches nothing. A comparison holds if any value that
its selector finds holds; `!=` needs a value, too.
"""

import re
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from lambent.services.logs.patterns.comparisons import (
    DEPTH_MAX,
    OPERATORS,
    PatternError,
    Tokens,
    Values,
    comparison,
)

Test = Callable[[object], bool]
_decode = msgspec.json.Decoder().decode
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\*)\]|\[[\"']([^\"']+)[\"']\]")


class Properties(Struct, frozen=True):
    """A compiled pattern of properties."""

    test: Test
    selectors: tuple[str, ...]

    def matches(self, message: str) -> bool:
        """Whether the message is JSON for which the expression holds."""
        if message.lstrip()[:1] not in ("{", "["):
            return False
        try:
            document = _decode(message)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False
        return self.test(document)

    def extract(self, message: str) -> Values:
        """The first value of each selector, as text."""
        document = _decode(message)
        found = {}
        for selector in self.selectors:
            for value in select(steps_of(selector), document):
                text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
                found[selector] = text
                break
        return found


def steps_of(selector: str) -> tuple[str | int, ...]:
    """`$.a.b[0]` as ("a", "b", 0); `*` for any. Errors: PatternError."""
    steps: list[str | int] = []
    at = 1
    while at < len(selector):
        match = _STEP.match(selector, at)
        if match is None:
            raise PatternError(f"bad selector {selector!r}")
        name, index, quoted = match.groups()
        if index is not None and index != "*":
            steps.append(int(index))
        else:
            steps.append(name or quoted or "*")
        at = match.end()
    if not selector.startswith("$") or not steps:
        raise PatternError(f"bad selector {selector!r}")
    return tuple(steps)


def select(steps: tuple[str | int, ...], value: object) -> Iterator[object]:
    """All values that the steps lead to."""
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    if step == "*":
        inner: list[object] = []
        if isinstance(value, dict):
            inner = list(value.values())
        elif isinstance(value, list):
            inner = value
        for one in inner:
            yield from select(rest, one)
    elif isinstance(step, int):
        if isinstance(value, list) and step < len(value):
            yield from select(rest, value[step])
    elif isinstance(value, dict) and step in value:
        yield from select(rest, value[step])


def parse_properties(text: str) -> Properties:
    """Compile a pattern of properties. Errors: PatternError."""
    tokens = Tokens(text)
    selectors: list[str] = []
    tokens.expect("{")
    test = _any_of(tokens, selectors, 0)
    tokens.expect("}")
    if tokens.now.kind != "end":
        tokens.fail("nothing may follow the closing brace")
    return Properties(test, tuple(dict.fromkeys(selectors)))


def _any_of(tokens: Tokens, selectors: list[str], depth: int) -> Test:
    tests = [_all_of(tokens, selectors, depth)]
    while tokens.accept("||"):
        tests.append(_all_of(tokens, selectors, depth))
    return tests[0] if len(tests) == 1 else lambda document: any(t(document) for t in tests)


def _all_of(tokens: Tokens, selectors: list[str], depth: int) -> Test:
    tests = [_one(tokens, selectors, depth)]
    while tokens.accept("&&"):
        tests.append(_one(tokens, selectors, depth))
    return tests[0] if len(tests) == 1 else lambda document: all(t(document) for t in tests)


def _one(tokens: Tokens, selectors: list[str], depth: int) -> Test:
    if depth > DEPTH_MAX:
        tokens.fail("too many parentheses")
    if tokens.accept("("):
        test = _any_of(tokens, selectors, depth + 1)
        tokens.expect(")")
        return test
    selector = _selector(tokens)
    selectors.append(selector)
    steps = steps_of(selector)
    if tokens.now.kind == "word":
        return _state(tokens, steps)
    operator = tokens.expect(*OPERATORS)
    compare = comparison(operator, tokens.take().value)
    return lambda document: any(compare(value) for value in select(steps, document))


def _selector(tokens: Tokens) -> str:
    """A selector, whose brackets came as symbols of their own."""
    if tokens.now.kind != "word" or not tokens.now.text.startswith("$"):
        tokens.fail("expected a selector")
    text = tokens.take().text
    while tokens.accept("["):
        inner = tokens.take()
        quote = '"' if inner.kind == "quoted" else ""
        tokens.expect("]")
        text += f"[{quote}{inner.text}{quote}]"
        if tokens.now.kind == "word" and tokens.now.text.startswith("."):
            text += tokens.take().text
    return text


def _state(tokens: Tokens, steps: tuple[str | int, ...]) -> Test:
    """`IS NULL`, `IS TRUE`, `IS FALSE`, `EXISTS`, `NOT EXISTS`."""
    word = tokens.take().text.upper()
    if word == "NOT":
        word = f"NOT {tokens.take().text.upper()}"
    elif word == "IS":
        word = f"IS {tokens.take().text.upper()}"
    match word:
        case "EXISTS":
            return lambda document: any(True for _ in select(steps, document))
        case "NOT EXISTS":
            return lambda document: not any(True for _ in select(steps, document))
        case "IS NULL":
            return lambda document: any(value is None for value in select(steps, document))
        case "IS TRUE":
            return lambda document: any(value is True for value in select(steps, document))
        case "IS FALSE":
            return lambda document: any(value is False for value in select(steps, document))
    return tokens.fail(f"unexpected {word!r}")
