"""The model's constraints, compiled per operation, in AWS's words.

`N validation errors detected: Value 'x' at 'memberName' failed to satisfy constraint: Member must
...`, as recorded from Lambda, Step Functions, SNS, KMS, EventBridge and API Gateway: member names
start in lower case, list positions count from one, a list or map of scalars is reported as a whole.
Lengths are checked before patterns, and overlong texts are not matched at all.

Services that word a constraint their own way, or do not hold to their model, exempt the member.
Source: https://docs.aws.amazon.com/lambda/latest/api/CommonErrors.html
"""

from collections.abc import Callable, Mapping
from typing import Any

from lambent.wire.model import Member, Shape
from lambent.wire.patterns import LENGTH_MAX, compile_pattern
from lambent.wire.values import Wire

Path = tuple["Path | None", str]
"""Where a value is: the path of what holds it, and its own name. Only failures print it."""

Check = Callable[[Wire, Path, list[str]], None]
Validator = Callable[[Mapping[str, Any], frozenset[str], str], list[str]]
_NOT_NULL = "Member must not be null"


def validation_message(errors: list[str]) -> str:
    """The message of a ValidationException for what a validator found."""
    noun = "error" if len(errors) == 1 else "errors"
    return f"{len(errors)} validation {noun} detected: {'; '.join(errors)}"


def compile_validator(shape: Shape | None) -> Validator:
    """Compile the checks of an input shape.

    The validator takes the params, the input members to leave out (`{"FunctionName"}`) and the
    path that stands before every member (`createRestApiInput.`, for services that print one).
    """
    compiler = _Compiler()
    checks: list[tuple[str, Path, bool, Check | None]] = []
    for name, member in shape.members.items() if shape else ():
        required = shape is not None and name in shape.required
        check = compiler.of(member.shape)
        if required or check is not None:
            checks.append((name, (None, lower_first(name)), required, check))

    def validate(params: Mapping[str, Any], exempt: frozenset[str], root: str) -> list[str]:
        errors: list[str] = []
        for name, path, required, check in checks:
            if exempt and name in exempt:
                continue
            value = params.get(name)
            if value is None:
                if required:
                    errors.append(_failure("null", (None, root + path[1]), _NOT_NULL))
            elif check is not None:
                check(value, (None, root + path[1]) if root else path, errors)
        return errors

    return validate


def lower_first(name: str) -> str:
    """A member's name as AWS prints it in a path."""
    return name[:1].lower() + name[1:]


def _failure(value: str, path: Path, constraint: str) -> str:
    parts: list[str] = []
    at: Path | None = path
    while at is not None:
        at, name = at
        parts.append(name)
    where = ".".join(reversed(parts))
    return f"Value {value} at '{where}' failed to satisfy constraint: {constraint}"


class _Compiler:
    """Compiles checks; None where a shape has nothing to check."""

    def __init__(self) -> None:
        self._known: dict[str, Check | None] = {}

    def of(self, shape: Shape) -> Check | None:
        if shape.raw.document or shape.raw.eventstream or shape.raw.streaming:
            return None
        if shape.type == "structure":
            if shape.name not in self._known:
                self._known[shape.name] = self._structure(shape)
            return self._known[shape.name]
        if shape.type == "list":
            return self._list(shape)
        if shape.type == "map":
            return self._map(shape)
        tests = _scalar_tests(shape)
        if not tests:
            return None

        def check(value: Wire, path: Path, errors: list[str]) -> None:
            for fails, text in tests:
                if fails(value):
                    errors.append(_failure(f"'{_printed(shape, value)}'", path, text))

        return check

    def _structure(self, shape: Shape) -> Check:
        table: dict[str, tuple[str, Check]] = {}
        required = [(name, lower_first(name)) for name in shape.required]

        def check(value: Wire, path: Path, errors: list[str]) -> None:
            for name, printed in required:
                if value.get(name) is None:
                    errors.append(_failure("null", (path, printed), _NOT_NULL))
            for name, item in value.items():
                entry = table.get(name)
                if entry is not None and item is not None:
                    entry[1](item, (path, entry[0]), errors)

        self._known[shape.name] = check
        for name, member in shape.members.items():
            inner = self.of(member.shape)
            if inner is not None:
                table[name] = (lower_first(name), inner)
        return check

    def _list(self, shape: Shape) -> Check:
        sizes = _size_tests(shape)
        element = shape.member.shape
        inner, tests = _split(self, element)
        together = _together("Member must satisfy constraint", tests)

        def check(value: Wire, path: Path, errors: list[str]) -> None:
            for fails, text in sizes:
                if fails(value):
                    errors.append(_failure(f"'{_printed(shape, value)}'", path, text))
            if tests and any(_violates(tests, item) for item in value if item is not None):
                errors.append(_failure(f"'{_printed(shape, value)}'", path, together))
            for number, item in enumerate(value, 1):
                if item is None:
                    errors.append(_failure("null", (path, f"{number}.member"), _NOT_NULL))
                elif inner is not None:
                    inner(item, (path, f"{number}.member"), errors)

        return check

    def _map(self, shape: Shape) -> Check:
        sizes = _size_tests(shape)
        key_tests = _scalar_tests(shape.key.shape)
        inner, tests = _split(self, shape.value.shape)
        keys = _together("Map keys must satisfy constraint", key_tests)
        values = _together("Map value must satisfy constraint", tests)

        def check(value: Wire, path: Path, errors: list[str]) -> None:
            for fails, text in sizes:
                if fails(value):
                    errors.append(_failure(f"'{_printed(shape, value)}'", path, text))
            if key_tests and any(_violates(key_tests, key) for key in value):
                errors.append(_failure(f"'{_printed(shape, value)}'", path, keys))
            if tests and any(_violates(tests, v) for v in value.values() if v is not None):
                errors.append(_failure(f"'{_printed(shape, value)}'", path, values))
            for key, item in value.items():
                if item is None:
                    errors.append(_failure("null", (path, f"{key}.member"), _NOT_NULL))
                elif inner is not None:
                    inner(item, (path, f"{key}.member"), errors)

        return check


Test = tuple[Callable[[Wire], bool], str]


def _split(compiler: _Compiler, element: Shape) -> tuple[Check | None, list[Test]]:
    """The check of each element, or the tests that are reported for all elements together."""
    if element.type in ("structure", "list", "map"):
        return compiler.of(element), []
    return None, _scalar_tests(element)


def _together(head: str, tests: list[Test]) -> str:
    return f"{head}: [{', '.join(text for _, text in tests)}]"


def _violates(tests: list[Test], value: Wire) -> bool:
    for fails, _ in tests:  # noqa: SIM110 - a generator costs three times as much here
        if fails(value):
            return True
    return False


def _size_tests(shape: Shape) -> list[Test]:
    """What `min` and `max` say of a length: the upper bound first, as AWS prints them."""
    tests: list[Test] = []
    low, high = shape.raw.min, shape.raw.max
    if high is not None:
        text = f"Member must have length less than or equal to {_number(high)}"
        tests.append((lambda value: _length(value) > high, text))
    if low is not None:
        text = f"Member must have length greater than or equal to {_number(low)}"
        tests.append((lambda value: _length(value) < low, text))
    return tests


def _length(value: Wire) -> int:
    """The length as Java counts it: a text's in UTF-16 units."""
    if value.__class__ is str and not value.isascii():
        return len(value.encode("utf-16-le", "surrogatepass")) // 2
    return len(value) if value.__class__ in (str, bytes, list, dict) else 0


def _scalar_tests(shape: Shape) -> list[Test]:
    if shape.type in ("integer", "long", "float", "double"):
        return _range_tests(shape)
    if shape.type == "blob":
        return [] if shape.raw.streaming else _size_tests(shape)
    if shape.type != "string":
        return []
    tests = _size_tests(shape)
    if shape.raw.enum:
        allowed = frozenset(shape.raw.enum)
        text = f"Member must satisfy enum value set: [{', '.join(shape.raw.enum)}]"
        tests.append((lambda value: value not in allowed, text))
    elif shape.raw.pattern:
        tests.append(_pattern_test(shape.raw.pattern))
    return tests


def _pattern_test(pattern: str) -> Test:
    def fails(value: Wire) -> bool:
        if len(value) > LENGTH_MAX:
            return False
        compiled = compile_pattern(pattern)
        return compiled is not None and compiled.fullmatch(value) is None

    return fails, f"Member must satisfy regular expression pattern: {pattern}"


def _range_tests(shape: Shape) -> list[Test]:
    tests: list[Test] = []
    low, high = shape.raw.min, shape.raw.max
    if high is not None:
        text = f"Member must have value less than or equal to {_number(high)}"
        tests.append((lambda value: value > high, text))
    if low is not None:
        text = f"Member must have value greater than or equal to {_number(low)}"
        tests.append((lambda value: value < low, text))
    return tests


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else str(bound)


def _printed(shape: Shape, value: Wire) -> str:
    """A value as Java's toString prints it."""
    if value is None:
        return "null"
    if shape.type == "list":
        return f"[{', '.join(_printed(shape.member.shape, item) for item in value)}]"
    if shape.type == "map":
        inner = shape.value.shape
        pairs = (f"{key}={_printed(inner, item)}" for key, item in value.items())
        return f"{{{', '.join(pairs)}}}"
    if shape.type == "structure" and isinstance(value, dict):
        return f"{shape.name}({', '.join(_printed_members(shape.members, value))})"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)


def _printed_members(members: Mapping[str, Member], value: Mapping[str, Any]) -> list[str]:
    return [
        f"{lower_first(name)}={_printed(member.shape, value.get(name))}"
        for name, member in members.items()
    ]
