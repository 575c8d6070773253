"""Heads: written so that nothing can break out of its line, read without guessing."""

import pytest

from lambent.net.head import DateLine, Refused, body_length, response_head, target


def test_a_response_head() -> None:
    headers = [("X-A", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b"), ("x-empty", "")]
    assert response_head(200, headers, "Content-Length: 0\r\n") == (
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nx-empty: \r\n"
        b"Content-Length: 0\r\n\r\n"
    )
    assert response_head(299, (), "") == b"HTTP/1.1 299 \r\n\r\n"
    assert response_head(404, [("X", "\xe4")], "") == b"HTTP/1.1 404 Not Found\r\nX: \xe4\r\n\r\n"


def test_the_servers_own_headers_are_its_own() -> None:
    theirs = [
        ("CONTENT-LENGTH", "5"),
        ("date", "x"),
        ("Connection", "x"),
        ("Transfer-Encoding", "x"),
    ]
    assert response_head(200, [*theirs, ("Keep-Alive", "1")], "") == b"HTTP/1.1 200 OK\r\n\r\n"


@pytest.mark.parametrize(
    "header",
    [("X", "a\r\nSet-Cookie: b"), ("X", "a\nb"), ("X", "a\rb"), ("X\r\nY", "a"), ("X", "a\0")],
)
def test_no_header_breaks_out_of_its_line(header: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        response_head(200, [header], "")


def test_a_value_beyond_latin_1_is_refused() -> None:
    with pytest.raises(ValueError, match="latin-1"):
        response_head(200, [("X", "\u20ac")], "")


def test_the_date_is_made_once_a_second() -> None:
    now_s = [784111777.2]
    line = DateLine(lambda: now_s[0])
    first = line()
    assert first == "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    now_s[0] += 0.7
    assert line() is first
    now_s[0] += 0.2
    assert line() == "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"


def test_lengths() -> None:
    assert body_length({}, "1.1") == 0
    assert body_length({"content-length": "12"}, "1.0") == 12
    assert body_length({"transfer-encoding": "Chunked"}, "1.1") is None
    for headers, version, status in (
        ({"transfer-encoding": "chunked"}, "1.0", 400),
        ({"transfer-encoding": "gzip, chunked"}, "1.1", 501),
        ({"content-length": ""}, "1.1", 400),
    ):
        with pytest.raises(Refused) as caught:
            body_length(headers, version)
        assert caught.value.status == status


def test_targets() -> None:
    headers = {"host": "h"}
    assert target(b"/a?b?c", headers) == ("/a", "b?c")
    assert target(b"//a", headers) == ("//a", "")
    assert headers == {"host": "h"}
    assert target(b"http://x?y", headers) == ("/", "y")
    assert headers == {"host": "x"}
    for bad in (b"a", b"", b"ws://a/"):
        with pytest.raises(Refused):
            target(bad, headers)
