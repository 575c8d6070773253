"""XML that is hostile, and XML that must read back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire.values import Unparsable
from lambent.wire.xml import escape, parse


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<a>",
        b"<a></b>",
        b"text",
        b"<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        b"<a>&undefined;</a>",
        b"<a>" * 200 + b"</a>" * 200,
        b"<r>" + b"<a/>" * 100_001 + b"</r>",
        b"<?xml version='1.0' encoding='nope'?><a/>",
        b"\xff\xfe",
    ],
)
def test_hostile_documents_are_refused(data: bytes) -> None:
    with pytest.raises(Unparsable):
        parse(data)


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc"))), st.just("\r\n\t"))
def test_text_reads_back(text: str, extra: str) -> None:
    text = (text + extra).replace("\ufffe", "").replace("\uffff", "")
    document = f'<n:a xmlns:n="u" k="{escape(text.strip())}">{escape(text)}</n:a>'.encode()
    node = parse(document)
    assert (node.tag, node.text) == ("a", text)
