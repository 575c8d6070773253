"""Recordings of real AWS, and comparing answers with them member for member.

`load("s3/s3.json", "TestS3::test_x")` gives a scenario's named responses; `Recording` compares a
client's answers with them by name and knows which are left. In a recording, concrete values are
replaced: `<bucket:1>` is the same value wherever it stands (also within a text), and another one
than `<bucket:2>`; a text that is its member's name in kebab case (`"HostId": "host-id"`), and
`datetime`, stand for anything. Where the recordings are not there, tests skip by name.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "recordings"

_PLACEHOLDER = re.compile(r"<[a-zA-Z][a-zA-Z0-9_-]*(?::[a-zA-Z0-9]+)?>")
_METADATA = "ResponseMetadata"
_ANYTHING = frozenset({"datetime", "date"})

Bindings = dict[str, str]
"""What the placeholders stand for."""


def load(service_file: str, scenario: str) -> dict[str, Any]:
    """A scenario's responses by name; skips the test where there are no recordings."""
    path = FOLDER / service_file
    if not path.exists():
        pytest.skip(f"no recordings at {path}")
    content: dict[str, Any] = json.loads(path.read_text())[scenario]["recorded-content"]
    return content


def match(
    expected: Any,
    actual: Any,
    bindings: Bindings | None = None,
    *,
    loose: frozenset[str] = frozenset(),
) -> None:
    """AssertionError with all differences unless `actual`, a client's answer, is as recorded.

    `loose`: further recorded texts that stand for anything.
    """
    comparison = _Comparison({} if bindings is None else bindings, _ANYTHING | loose)
    comparison.compare("", "", expected, plain(actual))
    assert not comparison.differences, "not as recorded:\n  " + "\n  ".join(comparison.differences)


def plain(value: Any) -> Any:
    """An answer as recordings have it: no request's own metadata, bytes and streams as text."""
    if isinstance(value, Mapping):
        found = {name: plain(member) for name, member in value.items() if name != _METADATA}
        if _METADATA in value:
            status = value[_METADATA].get("HTTPStatusCode")
            found[_METADATA] = {"HTTPHeaders": {}, "HTTPStatusCode": status}
        return found
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "read"):
        value = value.read()
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    return value.isoformat() if isinstance(value, datetime) else value


class Recording:
    """One scenario. `match` compares an answer; `done` fails if a recorded one was not compared."""

    def __init__(
        self, service_file: str, scenario: str, *, loose: frozenset[str] = frozenset()
    ) -> None:
        self.content = load(service_file, scenario)
        self.bindings: Bindings = {}
        self._loose = loose
        self._left = dict.fromkeys(self.content)

    def match(self, name: str, actual: Any) -> None:
        """Compare with the response recorded as `name`."""
        self._left.pop(name, None)
        try:
            match(self.content[name], actual, self.bindings, loose=self._loose)
        except AssertionError as error:
            raise AssertionError(f"{name} is {error}") from None

    def skip(self, name: str, why: str) -> None:
        """Leave a recorded response out, for a reason."""
        assert why
        self._left.pop(name)

    def done(self) -> None:
        """Every response has been compared, or left out for a reason."""
        assert not self._left, f"recorded, but not compared: {list(self._left)}"


class _Comparison:
    """One walk over an expected and an actual value."""

    def __init__(self, bindings: Bindings, anything: frozenset[str]) -> None:
        self.bindings = bindings
        self.differences: list[str] = []
        self._anything = anything

    def compare(self, path: str, member: str, expected: Any, actual: Any) -> None:
        """Note what differs; `member` is the name of the nearest member."""
        if isinstance(expected, dict) and isinstance(actual, dict):
            self._members(path, expected, actual)
        elif isinstance(expected, list) and isinstance(actual, list):
            self._items(path, member, expected, actual)
        elif isinstance(expected, str) and actual is not None:
            self._text(path, member, expected, actual)
        elif isinstance(expected, dict) and isinstance(actual, str):
            self._document(path, member, expected, actual)
        elif expected != actual:
            self.differences.append(f"{path}: recorded {expected!r}, answered {actual!r}")

    def _members(self, path: str, expected: dict[str, Any], actual: dict[str, Any]) -> None:
        for name in expected.keys() | actual.keys():
            inner = f"{path}.{name}" if path else name
            if name not in actual:
                self.differences.append(f"{inner}: recorded {expected[name]!r}, not answered")
            elif name not in expected:
                self.differences.append(f"{inner}: answered {actual[name]!r}, not recorded")
        for name, value in expected.items():
            if name in actual:
                self.compare(f"{path}.{name}" if path else name, name, value, actual[name])

    def _items(self, path: str, member: str, expected: list[Any], actual: list[Any]) -> None:
        if len(expected) != len(actual):
            self.differences.append(
                f"{path}: {len(expected)} items recorded, {len(actual)} answered: {actual!r}"
            )
        for index, (one, other) in enumerate(zip(expected, actual, strict=False)):
            self.compare(f"{path}[{index}]", member, one, other)

    def _document(self, path: str, member: str, expected: Any, actual: str) -> None:
        """Recordings hold some JSON texts parsed."""
        try:
            self.compare(path, member, expected, json.loads(actual))
        except ValueError:
            self.differences.append(f"{path}: recorded {expected!r}, answered {actual!r}")

    def _text(self, path: str, member: str, expected: str, actual: Any) -> None:
        if expected in self._anything or expected == kebab(member):
            return
        if not _PLACEHOLDER.search(expected):
            if expected != actual:
                self.differences.append(f"{path}: recorded {expected!r}, answered {actual!r}")
            return
        pattern, unbound = self._pattern(expected)
        found = re.fullmatch(pattern, str(actual), re.DOTALL)
        if found is None:
            self.differences.append(f"{path}: recorded {self._told(expected)}, got {actual!r}")
            return
        for index, placeholder in enumerate(unbound):
            self._bind(path, placeholder, found[index + 1])

    def _pattern(self, expected: str) -> tuple[str, list[str]]:
        """A pattern with a group for each placeholder that is not bound yet."""
        unbound: list[str] = []
        parts, at = [], 0
        for found in _PLACEHOLDER.finditer(expected):
            parts.append(re.escape(expected[at : found.start()]))
            at, name = found.end(), found[0]
            if name in self.bindings:
                parts.append(re.escape(self.bindings[name]))
            elif name in unbound:
                parts.append(f"\\{unbound.index(name) + 1}")
            else:
                unbound.append(name)
                parts.append("(.+?)")
        parts.append(re.escape(expected[at:]))
        return "".join(parts), unbound

    def _bind(self, path: str, placeholder: str, value: str) -> None:
        kind = placeholder.partition(":")[0]
        for other, held in self.bindings.items():
            if held == value and other.partition(":")[0] == kind and ":" in other:
                self.differences.append(f"{path}: {value!r} is {other} and now {placeholder}")
        self.bindings[placeholder] = value

    def _told(self, expected: str) -> str:
        bound = {
            name: self.bindings[name]
            for name in _PLACEHOLDER.findall(expected)
            if name in self.bindings
        }
        return f"{expected!r} with {bound}" if bound else repr(expected)


def kebab(name: str) -> str:
    """A member's name as recordings spell a replaced value: `HostId` -> `host-id`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
