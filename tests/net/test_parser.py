"""Requests out of bytes: the same however they are cut, and nothing ambiguous gets through."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.net.body import IncomingBody
from lambent.net.head import Refused
from lambent.net.limits import HttpLimits
from lambent.net.parser import Exchange, RequestParser
from tests.net.http_client import head


class Recorder:
    """A sink that keeps what the parser says."""

    def __init__(self, limits: HttpLimits | None = None) -> None:
        self.exchanges: list[Exchange] = []
        self.parser = RequestParser(self, limits or HttpLimits(), "10.0.0.1")

    def on_request(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)

    def steer(self) -> None:
        pass

    def send_continue(self) -> None:
        pass

    def seen(self) -> list[tuple[object, ...]]:
        return [_flat(exchange) for exchange in self.exchanges]


def _flat(exchange: Exchange) -> tuple[object, ...]:
    request, body = exchange.request, exchange.body
    held, done, trailers = b"", True, {}
    if body is not None:
        held, done, trailers = b"".join(body._parts), body.complete, body.trailers
    fields = (request.method, request.path, request.query, request.headers, request.peer)
    return (*fields, held, done, trailers, exchange.keep_alive, exchange.http11)


def parse(*pieces: bytes, limits: HttpLimits | None = None) -> Recorder:
    recorder = Recorder(limits)
    for piece in pieces:
        recorder.parser.feed(piece)
    return recorder


def refusal(data: bytes, limits: HttpLimits | None = None) -> int:
    with pytest.raises(Refused) as caught:
        parse(data, limits=limits)
    return caught.value.status


TOKEN = st.text("abcdefgXYZ-_09", min_size=1, max_size=12)
VALUE = st.text(
    st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=20
)
NAME = TOKEN.map(lambda text: "x-" + text)
CHUNKS = st.lists(st.binary(min_size=1, max_size=700), max_size=5)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """The bytes of one valid request."""
    path = "/" + draw(st.text("abc/%20.~+", max_size=20))
    query = draw(st.sampled_from(["", "?", "?a=b&c", "?x=%2F?"]))
    lines = [
        f"{name}: {value}" for name, value in draw(st.lists(st.tuples(NAME, VALUE), max_size=6))
    ]
    method = draw(st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PURGE"]))
    match draw(st.sampled_from(["none", "length", "chunked"])):
        case "none":
            return head(method, path + query, *lines)
        case "length":
            body = draw(st.binary(max_size=2000))
            return head(method, path + query, *lines, f"Content-Length: {len(body)}") + body
    data = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in draw(CHUNKS))
    trailers = "".join(
        f"{n}: {v}\r\n" for n, v in draw(st.lists(st.tuples(NAME, VALUE), max_size=3))
    )
    end = b"0\r\n" + trailers.encode("latin-1") + b"\r\n"
    return head(method, path + query, *lines, "transfer-encoding: chunked") + data + end


@given(st.lists(requests(), min_size=1, max_size=4), st.data())
def test_any_cutting_of_a_stream_gives_the_same_requests(
    stream: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(stream)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(whole) - 1), max_size=40)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    expected = [parse(one).seen()[0] for one in stream]
    assert parse(*pieces).seen() == parse(whole).seen() == expected
    assert all(flat[6] for flat in expected)


@given(st.lists(requests(), min_size=1, max_size=3))
def test_a_stream_byte_by_byte(stream: list[bytes]) -> None:
    whole = b"".join(stream)
    assert parse(*(bytes([byte]) for byte in whole)).seen() == parse(whole).seen()


@given(requests(), st.data())
def test_mutated_bytes_are_parsed_or_refused(request: bytes, data: st.DataObject) -> None:
    mutated = bytearray(request)
    for at, byte in data.draw(
        st.lists(st.tuples(st.integers(0, len(request) - 1), st.integers(0, 255)), max_size=8)
    ):
        mutated[at] = byte
    with contextlib.suppress(Refused):
        parse(bytes(mutated))


def test_a_head_in_parts_of_speech() -> None:
    data = head(
        "GET",
        "/a%2Fb?c=d&e",
        "X-One:  a b \t",
        "x-two: 1",
        "X-Two: 2",
        "Cookie: a",
        "cookie: b",
        "X-None:",
    )
    (exchange,) = parse(data).exchanges
    request = exchange.request
    assert (request.method, request.path, request.query) == ("GET", "/a%2Fb", "c=d&e")
    assert request.peer == "10.0.0.1"
    assert request.headers == {
        "host": "test", "x-one": "a b", "x-two": "1,2", "cookie": "a; b", "x-none": "",
    }  # fmt: skip
    assert request.body.length == 0
    assert (exchange.body, exchange.keep_alive, exchange.http11) == (None, True, True)


def test_values_are_latin_1_and_targets_ascii() -> None:
    request = parse(head("GET", "/%C3%A9", "X-A: \xe4\xff")).exchanges[0].request
    assert (request.path, request.headers["x-a"]) == ("/%C3%A9", "\xe4\xff")
    assert refusal(head("GET", "/\xe9")) == 400


def test_absolute_form_overrides_host() -> None:
    def ask(target: str) -> tuple[str, str, str]:
        request = parse(head("GET", target)).exchanges[0].request
        return request.headers["host"], request.path, request.query

    assert ask("http://bucket.s3.localhost:4566/key?acl") == (
        "bucket.s3.localhost:4566",
        "/key",
        "acl",
    )
    assert ask("HTTP://a") == ("a", "/", "")
    assert ask("https://a?b") == ("a", "/", "b")
    assert ask("*") == ("test", "*", "")


@pytest.mark.parametrize(
    ("version", "line", "kept"),
    [("1.1", "", True), ("1.1", "Connection: close", False), ("1.0", "", False),
     ("1.0", "Connection: keep-alive", True), ("1.1", "Connection: x, Close", False)],
)  # fmt: skip
def test_keep_alive(version: str, line: str, kept: bool) -> None:
    data = (
        f"GET / HTTP/{version}\r\nHost: h\r\n{line}{chr(13) + chr(10) if line else ''}\r\n".encode()
    )
    (exchange,) = parse(data).exchanges
    assert (exchange.keep_alive, exchange.http11) == (kept, version == "1.1")


def test_trailers() -> None:
    data = head("POST", "/", "Transfer-Encoding: chunked")
    data += (
        b"3\r\nabc\r\n0\r\nLambda-Runtime-Function-Error-Type: Oops\r\nX-A: b \r\nX-A: c\r\n\r\n"
    )
    for pieces in ((data,), (data[:-40], data[-40:]), tuple(bytes([byte]) for byte in data)):
        recorder = parse(*pieces, head("GET", "/next"))
        first, second = recorder.exchanges
        assert first.body is not None
        assert first.body.trailers == {"lambda-runtime-function-error-type": "Oops", "x-a": "b,c"}
        assert second.request.headers == {"host": "test"}


SMUGGLED = {
    "both framings": ("POST / HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked"),
    "both framings, turned": ("POST / HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 3"),
    "two lengths": ("POST / HTTP/1.1", "Content-Length: 3", "Content-Length: 4"),
    "same length twice": ("POST / HTTP/1.1", "Content-Length: 3", "Content-Length: 3"),
    "listed lengths": ("POST / HTTP/1.1", "Content-Length: 3, 3"),
    "signed length": ("POST / HTTP/1.1", "Content-Length: +3"),
    "negative length": ("POST / HTTP/1.1", "Content-Length: -3"),
    "hex length": ("POST / HTTP/1.1", "Content-Length: 0x3"),
    "empty length": ("POST / HTTP/1.1", "Content-Length:"),
    "huge length": ("POST / HTTP/1.1", "Content-Length: 99999999999999999999"),
    "folded line": ("GET / HTTP/1.1", "X-A: b", " c"),
    "folded by tab": ("GET / HTTP/1.1", "X-A: b", "\tc"),
    "space before colon": ("GET / HTTP/1.1", "X-A : b"),
    "no name": ("GET / HTTP/1.1", ": b"),
    "no colon": ("GET / HTTP/1.1", "X-A"),
    "name with a control": ("GET / HTTP/1.1", "X\x01A: b"),
    "name beyond ascii": ("GET / HTTP/1.1", "X\xe4: b"),
    "NUL in a value": ("GET / HTTP/1.1", "X-A: b\0c"),
    "CR in a value": ("GET / HTTP/1.1", "X-A: b\rc"),
    "LF in a value": ("GET / HTTP/1.1", "X-A: b\nX-B: c"),
    "control in a value": ("GET / HTTP/1.1", "X-A: b\x1bc"),
    "coding ends otherwise": ("POST / HTTP/1.1", "Transfer-Encoding: chunked, identity"),
    "coding in 1.0": ("POST / HTTP/1.0", "Transfer-Encoding: chunked"),
    "second host": ("GET / HTTP/1.1", "Host: other"),
    "space in target": ("GET /a b HTTP/1.1",),
    "no target": ("GET  HTTP/1.1",),
    "no slash": ("GET a HTTP/1.1",),
    "other scheme": ("GET ftp://a/ HTTP/1.1",),
    "connect": ("CONNECT a:80 HTTP/1.1",),
    "unknown method": ("BREW / HTTP/1.1",),
    "lower-case method": ("get / HTTP/1.1",),
    "version 1.2": ("GET / HTTP/1.2",),
    "no version number": ("GET / HTTP/",),
    "HTTP/2 preface": ("PRI * HTTP/2.0",),
}  # fmt: skip


@pytest.mark.parametrize("lines", SMUGGLED.values(), ids=SMUGGLED)
def test_what_two_servers_could_read_differently_is_refused(lines: tuple[str, ...]) -> None:
    first, *others = lines
    assert refusal("\r\n".join([first, "Host: h", *others, "", "abc"]).encode("latin-1")) == 400


def test_host_is_required() -> None:
    assert refusal(b"GET / HTTP/1.1\r\n\r\n") == 400
    assert len(parse(b"GET / HTTP/1.0\r\n\r\n").exchanges) == 1


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505), (b"GET /\r\n\r\n", 505),
     (head("POST", "/", "Transfer-Encoding: gzip, chunked"), 501),
     (head("POST", "/", "Transfer-Encoding: xchunked"), 501),
     (b"GET / HTTP/1.1\nHost: h\n\n", 400), (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400)],
)  # fmt: skip
def test_what_we_do_not_speak(data: bytes, status: int) -> None:
    assert refusal(data) == status


@pytest.mark.parametrize(
    "chunks",
    [b"x\r\n", b"-1\r\n", b"3 \r\nabc\r\n", b"fffffffffffffffff\r\n", b"3\r\nabcd\r\n",
     b"3\nabc\n", b"\r\n", b"0x3\r\nabc\r\n", b"3\r\nabc0\r\n\r\n"],
)  # fmt: skip
def test_bad_chunks(chunks: bytes) -> None:
    assert refusal(head("POST", "/", "Transfer-Encoding: chunked") + chunks) == 400


def test_too_many_headers() -> None:
    limits = HttpLimits(headers_max=5)
    many = [f"X-{n}: a" for n in range(4)]
    assert len(parse(head("GET", "/", *many), limits=limits).exchanges) == 1
    assert refusal(head("GET", "/", *many, "X-5: a"), limits) == 431
    assert refusal(head("GET", "/", *["X-Same: a"] * 7), limits) == 431
    unfinished = head("GET", "/", *many, "X-5: a", "X-6: a")[:-2]
    assert refusal(unfinished, limits) == 431
    trailers = head("POST", "/", "Transfer-Encoding: chunked") + b"0\r\n"
    assert refusal(trailers + b"".join(b"X-%d: a\r\n" % n for n in range(9)), limits) == 431
    assert (
        refusal(trailers + b"".join(b"X-%d: a\r\n" % n for n in range(6)) + b"\r\n", limits) == 431
    )


def test_too_long_a_head() -> None:
    limits = HttpLimits(head_bytes_max=1000)
    assert len(parse(head("GET", "/", "X-A: " + "a" * 900), limits=limits).exchanges) == 1
    assert refusal(head("GET", "/", "X-A: " + "a" * 1000), limits) == 431
    assert refusal(head("GET", "/" + "a" * 1000), limits) == 431


@pytest.mark.parametrize(
    "start",
    [b"GET /", b"GET / HTTP/1.1\r\nX-A: ", b"GET / HTTP/1.1\r\nX-",
     head("POST", "/", "Transfer-Encoding: chunked") + b"0\r\nX-A: ",
     head("POST", "/", "Transfer-Encoding: chunked") + b"3;x="],
    ids=["target", "value", "name", "trailer", "chunk extension"],
)  # fmt: skip
def test_an_endless_line_is_refused(start: bytes) -> None:
    recorder = parse(start, limits=HttpLimits(head_bytes_max=100_000))

    def feed_on() -> None:
        for _ in range(40):
            recorder.parser.feed(b"a" * 10_000)

    with pytest.raises(Refused) as caught:
        feed_on()
    assert caught.value.status == 431


def test_a_long_body_is_not_a_long_head() -> None:
    recorder = Recorder(HttpLimits(head_bytes_max=1000))
    recorder.parser.feed(head("PUT", "/", "Content-Length: 1000000"))
    for _ in range(10):
        recorder.parser.feed(b"a" * 100_000)
    recorder.parser.feed(head("GET", "/next", "X-A: " + "a" * 900))
    assert [exchange.request.path for exchange in recorder.exchanges] == ["/", "/next"]


UPGRADE = ("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk")


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_an_offered_upgrade_is_declined(step: int) -> None:
    def cut(data: bytes) -> list[bytes]:
        return [data[at : at + step] for at in range(0, len(data), step)]

    plain = head("GET", "/1", *UPGRADE)
    recorder = parse(*cut(plain + plain + head("GET", "/2")))
    assert [exchange.request.path for exchange in recorder.exchanges] == ["/1", "/1", "/2"]
    assert all(exchange.keep_alive for exchange in recorder.exchanges)

    by_length = parse(*cut(head("POST", "/", *UPGRADE, "Content-Length: 5") + b"hello")).seen()
    chunked = parse(
        *cut(head("POST", "/", *UPGRADE, "Transfer-Encoding: chunked") + b"5\r\nhello\r\n0\r\n\r\n")
    ).seen()
    for seen in (by_length, chunked):
        assert len(seen) == 1
        assert seen[0][5:7] == (b"hello", True)
        assert seen[0][8] is False  # keep_alive


def test_expect_continue_is_seen() -> None:
    def body(data: bytes) -> IncomingBody | None:
        return parse(data).exchanges[0].body

    asked = body(head("PUT", "/", "Expect: 100-Continue", "Content-Length: 1"))
    assert asked is not None
    assert asked.awaits_continue
    other = body(head("PUT", "/", "Content-Length: 1"))
    assert other is not None
    assert not other.awaits_continue
    old = body(b"PUT / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")
    assert old is not None
    assert not old.awaits_continue
