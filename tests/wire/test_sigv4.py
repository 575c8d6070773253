"""Requests signed by botocore verify; tampered, late and malformed ones do not."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lambent.base.errors import AwsError
from lambent.net import BytesBody, Request
from lambent.wire import sigv4
from lambent.wire.sigv4 import JSON, QUERY, S3, Dialect, Signer, parse_credential, verify

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
KEYS = Credentials("AKID", SECRET, "token")
NOW = 1_440_938_160.0  # 2015-08-30T12:36:00Z


@pytest.fixture(autouse=True)
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    moment = datetime.fromtimestamp(NOW, UTC).replace(tzinfo=None)
    monkeypatch.setattr(auth, "get_current_datetime", lambda *_args, **_kwargs: moment)


def signed(
    signer: type[Any],
    url: str,
    body: bytes = b"",
    method: str = "GET",
    service: str = "lambda",
    **options: Any,
) -> Request:
    """A request signed by one of botocore's signers, as the server sees it."""
    made = AWSRequest(method, url, data=body, headers={"Host": "h.example"})
    signer(KEYS, service, "us-east-1", **options).add_auth(made)
    prepared = made.prepare()
    rest = prepared.url.partition("://")[2]
    path, _, query = rest[rest.find("/") :].partition("?")
    headers = {
        k.lower(): v.decode() if isinstance(v, bytes) else str(v)
        for k, v in prepared.headers.items()
    }
    return Request(method, path, query, headers, BytesBody(body))


def check(request: Request, body: bytes, dialect: Dialect = JSON, now_s: float = NOW) -> None:
    credential = parse_credential(request, dialect)
    assert credential is not None
    assert credential.access_key == "AKID"
    assert credential.region == "us-east-1"
    assert credential.security_token == "token"
    verify(request, credential, SECRET, now_s, sha256(body).hexdigest(), dialect)


URLS = [
    "https://h.example/",
    "https://h.example/2015-03-31/functions/arn%3Aaws%3Alambda%3A1/invocations?Qualifier=a%20b",
    "https://h.example/a//b/./c/../d%2Fe~?b=2&a=1&a=0&empty=&flag",
    "https://h.example/key%20with%20spaces/%C3%A9?prefix=%2F&x-id=1",
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize(
    ("signer", "service", "dialect"),
    [
        (auth.SigV4Auth, "lambda", JSON),
        (auth.SigV4QueryAuth, "sts", QUERY),
        (auth.S3SigV4Auth, "s3", S3),
        (auth.S3SigV4QueryAuth, "s3", S3),
    ],
)
def test_what_botocore_signs_verifies(
    signer: type[Any], service: str, dialect: Dialect, url: str
) -> None:
    query = "Query" in signer.__name__
    method, body = ("GET", b"") if query else ("POST", b'{"a": 1}')
    request = signed(signer, url, body, method, service)
    check(request, body, dialect)
    for change in ("method", "path", "query", "headers"):
        tampered = Request(
            request.method, request.path, request.query, dict(request.headers), request.body
        )
        if change == "headers":
            tampered.headers["host"] = "elsewhere"
        else:
            old = getattr(request, change)
            setattr(
                tampered,
                change,
                {"method": "PUT"}.get(
                    change, old + ("x=1", "&x=1")[bool(old)] if change == "query" else old + "x"
                ),
            )
        with pytest.raises(AwsError) as caught:
            check(tampered, body, dialect)
        assert caught.value.code == dialect.mismatch
        assert caught.value.status == 403


def test_another_body_or_secret_fails() -> None:
    request = signed(auth.SigV4Auth, URLS[0], b"x", "POST")
    credential = parse_credential(request)
    assert credential is not None
    with pytest.raises(AwsError, match="does not match the signature you provided"):
        verify(request, credential, SECRET, NOW, sha256(b"y").hexdigest())
    with pytest.raises(AwsError, match="does not match"):
        verify(request, credential, SECRET + "x", NOW, sha256(b"x").hexdigest())


def test_s3_compares_the_body_with_its_digest() -> None:
    request = signed(auth.S3SigV4Auth, URLS[0], b"x", "PUT", "s3")
    credential = parse_credential(request, S3)
    assert credential is not None
    verify(request, credential, SECRET, NOW, None, S3)
    if len(request.headers["x-amz-content-sha256"]) == 64:
        with pytest.raises(AwsError) as caught:
            verify(request, credential, SECRET, NOW, sha256(b"y").hexdigest(), S3)
        assert caught.value.code == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize(
    ("late_s", "dialect", "code", "text"),
    [
        (
            301,
            JSON,
            "InvalidSignatureException",
            "Signature expired: 20150830T123600Z is now "
            "earlier than 20150830T123601Z (20150830T124101Z - 5 min.)",
        ),
        (
            -301,
            QUERY,
            "SignatureDoesNotMatch",
            "Signature not yet current: 20150830T123600Z is "
            "still later than 20150830T123559Z (20150830T123059Z + 5 min.)",
        ),
        (
            901,
            S3,
            "RequestTimeTooSkewed",
            "The difference between the request time and the current time is too large.",
        ),
    ],
)
def test_clocks_must_agree(late_s: int, dialect: Dialect, code: str, text: str) -> None:
    signer, service = (auth.S3SigV4Auth, "s3") if dialect.s3 else (auth.SigV4Auth, "lambda")
    request = signed(signer, URLS[0], b"", "GET", service)
    with pytest.raises(AwsError) as caught:
        check(request, b"", dialect, NOW + late_s)
    assert (caught.value.code, caught.value.message) == (code, text)


def test_presigned_urls_expire() -> None:
    request = signed(auth.S3SigV4QueryAuth, URLS[3], service="s3", expires=60)
    check(request, b"", S3, NOW + 60)
    with pytest.raises(AwsError, match="Request has expired") as caught:
        check(request, b"", S3, NOW + 61)
    assert caught.value.fields["X-Amz-Expires"] == "60"
    with pytest.raises(AwsError, match="not valid yet"):
        check(request, b"", S3, NOW - 1000)
    request = signed(auth.SigV4QueryAuth, URLS[0], service="sts", expires=60)
    with pytest.raises(AwsError, match="Signature expired"):
        check(request, b"", QUERY, NOW + 61)


@pytest.mark.parametrize("dialect", [JSON, QUERY, S3])
@pytest.mark.parametrize(
    "header",
    [
        "AWS4-HMAC-SHA256",
        "AWS4-HMAC-SHA256 Credential=A/B, SignedHeaders=host, Signature=1",
        "AWS4-HMAC-SHA256 Credential=A/1/2/3/aws4_request, SignedHeaders=host",
        "AWS4-HMAC-SHA256 Credential=A/1/2/3/aws4_request, SignedHeaders=host, Signature=1",
        "Basic dXNlcjpwYXNz",
    ],
)
def test_malformed_headers(header: str, dialect: Dialect) -> None:
    with pytest.raises(AwsError) as caught:
        parse_credential(Request("GET", "/", "", {"authorization": header}, BytesBody()), dialect)
    assert caught.value.status == 400
    assert caught.value.code in (dialect.incomplete, "InvalidArgument")


@pytest.mark.parametrize("dialect", [JSON, S3])
def test_malformed_queries(dialect: Dialect) -> None:
    full = signed(auth.S3SigV4QueryAuth, URLS[0], service="s3").query
    for part in full.split("&"):
        if dialect.s3 or "Expires" not in part:
            query = full.replace(part, "x=1")
            request = Request("GET", "/", query, {"host": "h"}, BytesBody())
            if "Token" in part or ("Signature" not in query and "Credential" not in query):
                continue
            with pytest.raises(AwsError):
                parse_credential(request, dialect)
    for old, new in (("Expires=3600", "Expires=x"), ("Expires=3600", "Expires=999999999")):
        with pytest.raises(AwsError):
            parse_credential(
                Request("GET", "/", full.replace(old, new), {"host": "h"}, BytesBody()), dialect
            )


def test_unsigned_requests_have_no_credential() -> None:
    assert parse_credential(Request("GET", "/", "a=1", {}, BytesBody())) is None


def test_the_date_must_be_the_scope_s() -> None:
    request = signed(auth.SigV4Auth, URLS[0])
    credential = parse_credential(request)
    assert credential is not None
    request.headers["x-amz-date"] = "20150230T123600Z"
    with pytest.raises(AwsError):
        check(request, b"")
    request.headers["x-amz-date"] = "not a date"
    with pytest.raises(AwsError, match="basic format"):
        check(request, b"")


def test_our_own_signatures_verify() -> None:
    for service, dialect in (("lambda", JSON), ("s3", S3)):
        signer = Signer("AKID", SECRET, "us-east-1", service, "token")
        request = Request(
            "POST", "/a%20b", "z=1&y=2", {"host": "h", "x-amz-target": "t"}, BytesBody()
        )
        signer.sign(request, NOW, sha256(b"x").hexdigest())
        check(request, b"x", dialect)
        query = signer.presign("GET", "h", "/a%20b", NOW, 600, {"versionId": "1 2"})
        check(Request("GET", "/a%20b", query, {"host": "h"}, BytesBody()), b"", dialect, NOW + 599)


def test_host_must_be_signed() -> None:
    request = signed(auth.SigV4Auth, URLS[0])
    request.headers["authorization"] = request.headers["authorization"].replace("host;", "")
    with pytest.raises(AwsError, match="'Host' or ':authority' must be a 'SignedHeader'"):
        check(request, b"")


def test_signing_keys_are_cached_and_bounded() -> None:
    info = sigv4.signing_key.cache_info()
    assert info.maxsize is not None
    assert sigv4.signing_key("s", "d", "r", "x") is sigv4.signing_key("s", "d", "r", "x")
