"""Forms and query strings, folded and refused."""

from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire.query import fold, pairs, query_values, unquote
from lambent.wire.values import MEMBERS_MAX, Unparsable

TEXT = st.text(st.characters(codec="utf-8"), max_size=10)


@given(st.lists(st.tuples(TEXT.filter(bool), TEXT), max_size=5))
def test_forms_read_as_the_standard_library_reads_them(items: list[tuple[str, str]]) -> None:
    form = urlencode(items)
    assert list(pairs(form)) == items == parse_qsl(form, keep_blank_values=True)


def test_folding() -> None:
    assert fold({"A.member.1.B": "x", "A.member.2.B": "y", "C": "z"}) == {
        "A": {"member": {"1": {"B": "x"}, "2": {"B": "y"}}},
        "C": "z",
    }
    assert fold({"A": "", "A.1": "x"}) == {"A": {"1": "x"}}
    for form in ({"A": "x", "A.1": "y"}, {".".join("a" * 400): "x"}):
        with pytest.raises(Unparsable):
            fold(form)


def test_bounds_and_bad_escapes() -> None:
    assert unquote("100%") == "100%"
    with pytest.raises(Unparsable):
        unquote("%ff")
    with pytest.raises(Unparsable):
        list(pairs("a=1&" * (MEMBERS_MAX + 1)))
    assert query_values("a=1&a=2&flag") == {"a": ["1", "2"], "flag": [""]}
