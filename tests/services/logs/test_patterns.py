"""Filter patterns: AWS's documented examples, and everything else against a plain matcher."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.base.errors import AwsError
from lambent.services.logs.patterns import compile_pattern
from lambent.services.logs.patterns.columns import split
from lambent.services.logs.patterns.comparisons import like

ERRORS = [
    "[ERROR 400] BAD REQUEST",
    "[ERROR 401] UNAUTHORIZED REQUEST",
    "[ERROR 419] MISSING ARGUMENTS",
    "[ERROR 420] INVALID ARGUMENTS",
]


def hits(pattern: str, messages: list[str]) -> list[str]:
    matches = compile_pattern(pattern).matches
    return [message for message in messages if matches(message)]


@pytest.mark.parametrize(
    ("pattern", "numbers"),
    [
        ("", [400, 401, 419, 420]),
        ("ERROR", [400, 401, 419, 420]),
        ("error", []),
        ("ERROR ARGUMENTS", [419, 420]),
        ("?MISSING ?UNAUTHORIZED", [401, 419]),
        ("ERROR -ARGUMENTS", [400, 401]),
        ('"INVALID ARGUMENTS"', [420]),
        ('-"BAD REQUEST"', [401, 419, 420]),
        ("ERROR ?MISSING", [400, 401, 419, 420]),
        ('"[ERROR 400"', [400]),
    ],
)
def test_terms(pattern: str, numbers: list[int]) -> None:
    assert hits(pattern, ERRORS) == [one for one in ERRORS if int(one[7:10]) in numbers]


EVENT: dict[str, Any] = {
    "eventType": "UpdateTrail",
    "sourceIPAddress": "111.111.111.111",
    "arrayKey": ["value", "another value"],
    "objectList": [{"name": "a", "id": 1}, {"name": "b", "id": 2}],
    "SomeObject": None,
    "ThisFlag": True,
    "OtherFlag": False,
    "latency": 12.5,
    "big": 1e-3,
    "user": {"id.x": "dotted"},
}


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ('{ $.eventType = "UpdateTrail" }', True),
        ("{ $.eventType = UpdateTrail }", True),
        ("{$.eventType=Update*}", True),
        ("{ $.eventType = *Trail }", True),
        ("{ $.eventType != UpdateTrail }", False),
        ("{ $.missing != UpdateTrail }", False),
        ("{ $.sourceIPAddress != 123.123.* }", True),
        ('{ $.arrayKey[0] = "value" }', True),
        ('{ $.arrayKey[1] = "value" }', False),
        ('{ $.arrayKey[7] = "value" }', False),
        ("{ $.objectList[1].id = 2 }", True),
        ("{ $.objectList[*].id = 2 }", True),
        ("{ $.*.id = 2 }", False),
        ("{ $.SomeObject IS NULL }", True),
        ("{ $.ThisFlag IS TRUE }", True),
        ("{ $.ThisFlag IS FALSE }", False),
        ("{ $.OtherFlag IS FALSE }", True),
        ("{ $.SomeOtherObject NOT EXISTS }", True),
        ("{ $.SomeObject EXISTS }", True),
        ("{ $.latency > 12 && $.latency <= 12.5 }", True),
        ("{ $.latency < 12 || $.big = 1e-3 }", True),
        ("{ ($.latency < 12 || $.ThisFlag IS TRUE) && $.eventType = Nothing }", False),
        ("{ $.latency < 12 || $.ThisFlag IS TRUE && $.eventType = Update* }", True),
        ("{ $.latency >= 13 }", False),
        ("{ $.eventType > 3 }", False),
        ("{ $.ThisFlag = 1 }", False),
        ('{ $.user["id.x"] = dotted }', True),
    ],
)
def test_properties(pattern: str, wanted: bool) -> None:
    assert compile_pattern(pattern).matches(json.dumps(EVENT) + "\n") is wanted
    assert not compile_pattern(pattern).matches("not { json")


LINE = '127.0.0.1 Prod frank [10/Oct/2000:13:25:15 -0700] "GET /index.html HTTP/1.0" 404 1534'


@pytest.mark.parametrize(
    ("pattern", "wanted"),
    [
        ("[ip, user, username, timestamp, request, status_code, bytes]", True),
        ("[ip, user, username, timestamp, request, status_code]", False),
        ("[ip, ..., bytes > 1000]", True),
        ("[ip, ..., bytes > 2000]", False),
        ("[..., status_code=4*, bytes]", True),
        ("[ip, user, username, timestamp, request=*html*, status_code = 404, bytes]", True),
        ("[ip!=127.0.0.1, ...]", False),
        ("[ip=127.0.0.1 || ip=10.*, ...]", True),
        ("[ip=1* && ip=*2, ...]", False),
        ("[,,frank=frank,...]", True),
        ("[...]", True),
    ],
)
def test_columns(pattern: str, wanted: bool) -> None:
    assert compile_pattern(pattern).matches(LINE) is wanted


def test_what_is_extracted() -> None:
    columns = compile_pattern("[ip, , ..., bytes]").extract(LINE)
    assert columns == {"$ip": "127.0.0.1", "$2": "Prod", "$bytes": "1534"}
    found = compile_pattern("{ $.latency > 1 && $.eventType = U* }").extract(json.dumps(EVENT))
    assert found == {"$.latency": "12.5", "$.eventType": "UpdateTrail"}
    assert compile_pattern("ERROR").extract("ERROR") == {}


@pytest.mark.parametrize(
    "pattern",
    [
        "{ $.a }", "{ $.a = }", "{ a = 1 }", "{ $.a = 1", "{ $.a = 1 } x", "{ $ = 1 }",
        "{ $.a > x }", "{ $.a IS MAYBE }", "{ $.a = %x% }", "{ $..a = 1 }", "{ $.a[x] = 1 }",
        "[a, b", "[a] b", "[a = ]", "[..., ...]", "[a=1 && b=2]", "[a && a=1]", "[=]",
        '"open', "%regex%", '"a"b', "{ " + "(" * 40 + "$.a = 1" + ")" * 40 + " }",
    ],
)  # fmt: skip
def test_what_is_refused(pattern: str) -> None:
    with pytest.raises(AwsError) as caught:
        compile_pattern(pattern)
    assert caught.value.code == "InvalidParameterException"


@given(st.text(max_size=60))
def test_any_text_compiles_or_is_refused(text: str) -> None:
    try:
        pattern = compile_pattern(text)
    except AwsError:
        return
    if pattern.matches(text):
        pattern.extract(text)


words = st.text("abAB", min_size=1, max_size=2)


@given(
    st.lists(st.tuples(st.sampled_from(["", "-", "?"]), words, st.booleans()), max_size=5),
    st.text("abAB ", max_size=12),
)
def test_terms_against_brute_force(terms: list[tuple[str, str, bool]], message: str) -> None:
    text = " ".join(mark + (f'"{word}"' if quoted else word) for mark, word, quoted in terms)
    by_mark = {mark: [word for at, word, _ in terms if at == mark] for mark in ("", "-", "?")}
    if by_mark[""] or by_mark["-"]:
        wanted = all(w in message for w in by_mark[""]) and not any(
            w in message for w in by_mark["-"]
        )
    else:
        wanted = not by_mark["?"] or any(word in message for word in by_mark["?"])
    assert compile_pattern(text).matches(message) is wanted


def _like(parts: str, text: str) -> bool:
    """Whether `text` is what `parts`, with `*` for anything, says; by trying everything."""
    if not parts:
        return not text
    if parts[0] == "*":
        return any(_like(parts[1:], text[at:]) for at in range(len(text) + 1))
    return bool(text) and text[0] == parts[0] and _like(parts[1:], text[1:])


@given(st.text("ab*", max_size=6), st.text("ab", max_size=8))
def test_wildcards_against_brute_force(pattern: str, text: str) -> None:
    if "*" in pattern:
        assert like(pattern.split("*"), text) is _like(pattern, text)


leaves = st.one_of(st.integers(-3, 3), st.sampled_from(["x", "y"]), st.booleans(), st.none())
documents = st.dictionaries(st.sampled_from("abc"), leaves, max_size=3)


def _holds(document: dict[str, Any], name: str, operator: str, value: Any) -> bool:
    if name not in document:
        return False
    found = document[name]
    if operator == "=":
        return type(found) is type(value) and found == value
    if operator == "!=":
        return not (type(found) is type(value) and found == value)
    if type(found) is not int:
        return False
    return {"<": found < value, ">": found > value, "<=": found <= value, ">=": found >= value}[
        operator
    ]


conditions = st.one_of(
    st.tuples(
        st.sampled_from("abc"),
        st.sampled_from(["=", "!=", "<", ">", "<=", ">="]),
        st.integers(-3, 3),
    ),
    st.tuples(st.sampled_from("abc"), st.sampled_from(["=", "!="]), st.sampled_from(["x", "y"])),
)
Tree = tuple[Any, ...]
trees: st.SearchStrategy[Tree] = st.recursive(
    conditions, lambda inner: st.tuples(st.sampled_from(["&&", "||"]), inner, inner), max_leaves=5
)


def _text(tree: Tree) -> str:
    if tree[0] in ("&&", "||"):
        return f"({_text(tree[1])} {tree[0]} {_text(tree[2])})"
    name, operator, value = tree
    return f"$.{name} {operator} {json.dumps(value)}"


def _true(tree: Tree, document: dict[str, Any]) -> bool:
    if tree[0] == "&&":
        return _true(tree[1], document) and _true(tree[2], document)
    if tree[0] == "||":
        return _true(tree[1], document) or _true(tree[2], document)
    return _holds(document, *tree)


@given(trees, documents)
def test_properties_against_brute_force(tree: Tree, document: dict[str, Any]) -> None:
    pattern = compile_pattern(f"{{ {_text(tree)} }}")
    assert pattern.matches(json.dumps(document)) is _true(tree, document)


@given(st.lists(st.text("ab1", min_size=1, max_size=3), min_size=1, max_size=6), st.data())
def test_columns_against_brute_force(columns: list[str], data: st.DataObject) -> None:
    assert split(" ".join(columns)) == columns
    count = data.draw(st.integers(1, 6))
    at = data.draw(st.none() | st.integers(0, count))
    names = [f"c{number}" for number in range(count)]
    shown = names if at is None else [*names[:at], "...", *names[at:]]
    pattern = compile_pattern(f"[{', '.join(shown)}]")
    wanted = len(columns) == count if at is None else len(columns) >= count
    assert pattern.matches(" ".join(columns)) is wanted
    if wanted and at is not None:
        kept = [*columns[:at], *columns[len(columns) - (count - at) :]]
        assert list(pattern.extract(" ".join(columns)).values()) == kept
