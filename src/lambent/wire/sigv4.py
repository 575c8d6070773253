"""AWS Signature Version 4: who signed a request, whether the signature holds, and how to sign.

`parse_credential` reads the claim (Authorization header or presigned query) without a secret, so
that the caller can look the secret up; `verify` then checks time and signature. Signing keys are
cached, bounded, because deriving one costs four of the six HMACs. S3 differs: its paths are encoded
once and never normalised, its payload may be unsigned, its errors have other names and texts.

`Dialect` picks the names of errors: what AWS answers depends on the protocol, not on the service.
Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from hmac import compare_digest, digest
from time import gmtime, strftime, strptime

from msgspec import Struct

from lambent.base.errors import AwsError
from lambent.net import BytesBody, Request

ALGORITHM = "AWS4-HMAC-SHA256"
EMPTY_SHA256 = sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"
SKEW_S = 300
"""How far a signature's time may be off. Source: the text of AWS's own `Signature expired`."""
S3_SKEW_S = 900
EXPIRES_MAX_S = 604_800
_KEYS_MAX = 4096
CLAIMS_CACHED_MAX = 4096
SIGNATURE_LENGTH = 64
_HEADER = re.compile(r"(Credential|SignedHeaders|Signature)=([^,\s]*)")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~/]*")
_CANONICAL = re.compile(r"(?:[A-Za-z0-9\-._~]|%[0-9A-F]{2})*")
_RESERVED = re.compile(rb"[^A-Za-z0-9\-._~]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")
_SPACES = re.compile(r"\s+")
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z")


class Dialect(Struct, frozen=True):
    """How one family of services words its refusals; `s3` also encodes paths its own way."""

    incomplete: str
    mismatch: str
    s3: bool = False


JSON = Dialect("IncompleteSignatureException", "InvalidSignatureException")
QUERY = Dialect("IncompleteSignature", "SignatureDoesNotMatch")
S3 = Dialect("AuthorizationHeaderMalformed", "SignatureDoesNotMatch", s3=True)


class Credential(Struct, frozen=True):
    """What a request claims: not verified yet.

    `timestamp` is the signing time as sent (`20150830T123600Z`); `expires_s` is set for presigned
    requests: how long after it they hold.
    """

    access_key: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    timestamp: str
    security_token: str | None = None
    expires_s: int | None = None

    @property
    def scope(self) -> str:
        """The credential scope: `20150830/us-east-1/iam/aws4_request`."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"

    @property
    def presigned(self) -> bool:
        """Whether the signature was in the query."""
        return self.expires_s is not None


# --- reading the claim ---------------------------------------------------------------------------


def parse_credential(request: Request, dialect: Dialect = JSON) -> Credential | None:
    """The credential that `request` carries, or None if it carries none.

    Errors: IncompleteSignature(Exception), AuthorizationHeaderMalformed, and for presigned ones
    AuthorizationQueryParametersError.
    """
    header = request.headers.get("authorization")
    if header is not None:
        if header.startswith(ALGORITHM):
            return _from_header(request, header, dialect)
        if header.startswith("AWS ") and dialect.s3:
            return None
        text = "Unsupported Authorization Type" if dialect.s3 else _unparsed(header)
        code = "InvalidArgument" if dialect.s3 else dialect.incomplete
        raise AwsError(code, text, status=400)
    if "X-Amz-Signature=" in request.query or "X-Amz-Credential=" in request.query:
        return _from_query(request.query, dialect)
    return None


def _unparsed(header: str) -> str:
    return f"Authorization header requires '{ALGORITHM}'. Authorization={header.partition(' ')[0]}"


@lru_cache(CLAIMS_CACHED_MAX)
def _claim(text: str, dialect: Dialect) -> tuple[str, str, str, str, tuple[str, ...]] | None:
    """The scope and signed headers of a header up to its signature, as SDKs write it.

    A client sends the same text with each request of a day. None: look closer.
    """
    parts = dict(_HEADER.findall(text))
    if not parts.get("Credential") or not parts.get("SignedHeaders"):
        return None
    return *_scope(parts["Credential"], dialect), tuple(parts["SignedHeaders"].split(";"))


def _from_header(request: Request, header: str, dialect: Dialect) -> Credential:
    claim, mark, signature = header.rpartition("Signature=")
    timestamp = request.headers.get("x-amz-date", "")
    if mark and len(signature) == SIGNATURE_LENGTH and _TIMESTAMP.fullmatch(timestamp):
        found = _claim(claim, dialect)
        if found is not None:
            token = request.headers.get("x-amz-security-token")
            return Credential(*found, signature, timestamp, token)
    return _from_odd_header(request, header, dialect)


def _from_odd_header(request: Request, header: str, dialect: Dialect) -> Credential:
    """Any other order of parts, and what AWS says of headers with parts missing."""
    parts = dict(_HEADER.findall(header))
    timestamp = request.headers.get("x-amz-date") or _http_date(request.headers.get("date", ""))
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if not parts.get(name)
    ]
    if not timestamp:
        missing.append(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    if missing:
        if dialect.s3:
            text = "The authorization header is malformed; the authorization header requires three "
            text += "components: Credential, SignedHeaders, and Signature."
            raise AwsError(dialect.incomplete, text, status=400)
        text = f"{' '.join(missing)} Authorization={ALGORITHM}"
        raise AwsError(dialect.incomplete, text, status=400)
    access_key, date, region, service = _scope(parts["Credential"], dialect)
    if not _TIMESTAMP.fullmatch(timestamp):
        text = f"Date must be in ISO-8601 'basic format'. Got '{timestamp}'."
        raise AwsError(dialect.incomplete, text, status=400)
    return Credential(
        access_key,
        date,
        region,
        service,
        tuple(parts["SignedHeaders"].split(";")),
        parts["Signature"],
        timestamp,
        request.headers.get("x-amz-security-token"),
    )


def _scope(text: str, dialect: Dialect) -> tuple[str, str, str, str]:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):
        message = (
            "Credential must have exactly 5 slash-delimited elements, e.g. "
            f"keyid/date/region/service/term, got '{text}'"
        )
        if dialect.s3:
            message = (
                "The authorization header is malformed; the Credential is mal-formed; expecting "
                '"<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
            )
        raise AwsError(dialect.incomplete, message, status=400)
    return parts[0], parts[1], parts[2], parts[3]


def _http_date(text: str) -> str:
    try:
        return strftime("%Y%m%dT%H%M%SZ", strptime(text, "%a, %d %b %Y %H:%M:%S GMT"))
    except ValueError:
        return ""


@lru_cache(CLAIMS_CACHED_MAX)
def _from_query(query: str, dialect: Dialect) -> Credential:
    values = dict(_query_pairs(query))
    names = ("Algorithm", "Credential", "Signature", "Date", "SignedHeaders")
    missing = [name for name in names if not values.get(f"X-Amz-{name}")]
    code = "AuthorizationQueryParametersError" if dialect.s3 else dialect.incomplete
    if missing or (dialect.s3 and "X-Amz-Expires" not in values):
        text = (
            "Query-string authentication version 4 requires the X-Amz-Algorithm, "
            "X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and "
            "X-Amz-Expires parameters."
        )
        if not dialect.s3:
            text = " ".join(
                f"AWS query-string parameters must include 'X-Amz-{name}'." for name in missing
            )
        raise AwsError(code, text, status=400)
    expires = values.get("X-Amz-Expires", str(SKEW_S))
    if not (expires.isascii() and expires.isdigit() and len(expires) < 10):
        raise AwsError(code, "X-Amz-Expires should be a number", status=400)
    if int(expires) > EXPIRES_MAX_S:
        text = "X-Amz-Expires must be less than a week (in seconds); that is, the given "
        raise AwsError(code, text + "X-Amz-Expires must be less than 604800 seconds", status=400)
    if not _TIMESTAMP.fullmatch(values["X-Amz-Date"]):
        text = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        raise AwsError(code, text, status=400)
    access_key, date, region, service = _scope(values["X-Amz-Credential"], dialect)
    return Credential(
        access_key,
        date,
        region,
        service,
        tuple(values["X-Amz-SignedHeaders"].split(";")),
        values["X-Amz-Signature"],
        values["X-Amz-Date"],
        values.get("X-Amz-Security-Token"),
        int(expires),
    )


def _query_pairs(query: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in query.split("&") if part)
    return [(_unquote(key), _unquote(value)) for key, _, value in pairs]


def _unquote(text: str) -> str:
    data = text.replace("+", " ").encode("latin-1", "replace")
    return _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), data).decode("utf-8", "replace")


# --- verifying -----------------------------------------------------------------------------------


def verify(
    request: Request,
    credential: Credential,
    secret: str,
    now_s: float,
    body_sha256: str | None,
    dialect: Dialect = JSON,
) -> None:
    """Return if the signature holds; AwsError otherwise.

    `body_sha256` is the hex digest of the body as received; None where it is not known yet (a
    streamed upload), and then `x-amz-content-sha256` is taken at its word: the caller must compare
    it with what arrives. Errors: SignatureDoesNotMatch, InvalidSignatureException,
    RequestTimeTooSkewed, AccessDenied (S3's expired presigned URLs), XAmzContentSHA256Mismatch.
    """
    _check_time(credential, now_s, dialect)
    if "host" not in credential.signed_headers:
        text = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        raise AwsError(dialect.mismatch, text, status=403)
    payload = _payload_hash(request, credential, body_sha256, dialect)
    canonical = canonical_request(
        request, credential.signed_headers, payload, s3=dialect.s3, presigned=credential.presigned
    )
    to_sign = string_to_sign(credential.timestamp, credential.scope, canonical)
    key = signing_key(secret, credential.date, credential.region, credential.service)
    if credential.timestamp[:8] != credential.date or not compare_digest(
        digest(key, to_sign.encode(), "sha256").hex().encode(), credential.signature.encode()
    ):
        raise _mismatch(credential, to_sign, canonical, dialect)


def _check_time(credential: Credential, now_s: float, dialect: Dialect) -> None:
    try:
        signed_s = _seconds(credential.timestamp)
    except ValueError as error:
        text = f"Date must be in ISO-8601 'basic format'. Got '{credential.timestamp}'."
        raise AwsError(dialect.incomplete, text, status=400) from error
    if credential.expires_s is not None:
        _check_expiry(credential, signed_s, now_s, dialect)
    elif abs(now_s - signed_s) > (S3_SKEW_S if dialect.s3 else SKEW_S):
        raise _skewed(credential, signed_s, now_s, dialect)


@lru_cache(256)
def _seconds(timestamp: str) -> int:
    year, month, day = int(timestamp[:4]), int(timestamp[4:6]), int(timestamp[6:8])
    hour, minute, second = int(timestamp[9:11]), int(timestamp[11:13]), int(timestamp[13:15])
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())


def _check_expiry(credential: Credential, signed_s: int, now_s: float, dialect: Dialect) -> None:
    assert credential.expires_s is not None
    until_s = signed_s + credential.expires_s
    if signed_s > now_s + (S3_SKEW_S if dialect.s3 else SKEW_S):
        if dialect.s3:
            raise AwsError("AccessDenied", "Request is not valid yet", status=403)
        raise _skewed(credential, signed_s, now_s, dialect)
    if now_s <= until_s:
        return
    if dialect.s3:
        fields = {
            "X-Amz-Expires": str(credential.expires_s),
            "Expires": _iso(until_s),
            "ServerTime": _iso(now_s),
        }
        raise AwsError("AccessDenied", "Request has expired", status=403, fields=fields)
    text = f"Signature expired: {credential.timestamp} is now earlier than {amz_date(now_s)}"
    raise AwsError(dialect.mismatch, text, status=403)


def _skewed(credential: Credential, signed_s: int, now_s: float, dialect: Dialect) -> AwsError:
    if dialect.s3:
        fields = {
            "RequestTime": credential.timestamp,
            "ServerTime": _iso(now_s),
            "MaxAllowedSkewMilliseconds": str(S3_SKEW_S * 1000),
        }
        text = "The difference between the request time and the current time is too large."
        return AwsError("RequestTimeTooSkewed", text, status=403, fields=fields)
    now = amz_date(now_s)
    if signed_s < now_s:
        text = (
            f"Signature expired: {credential.timestamp} is now earlier than "
            f"{amz_date(now_s - SKEW_S)} ({now} - 5 min.)"
        )
    else:
        text = (
            f"Signature not yet current: {credential.timestamp} is still later than "
            f"{amz_date(now_s + SKEW_S)} ({now} + 5 min.)"
        )
    return AwsError(dialect.mismatch, text, status=403)


def _iso(seconds: float) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(seconds))


def _payload_hash(
    request: Request, credential: Credential, body_sha256: str | None, dialect: Dialect
) -> str:
    named = request.headers.get("x-amz-content-sha256", "")
    if dialect.s3:
        if credential.presigned and "x-amz-content-sha256" not in credential.signed_headers:
            return UNSIGNED
        if not named:
            text = "Missing required header for this request: x-amz-content-sha256"
            raise AwsError("InvalidRequest", text, status=400)
        if body_sha256 is not None and len(named) == 64 and named != body_sha256:
            text = "The provided 'x-amz-content-sha256' header does not match what was computed."
            fields = {
                "ClientComputedContentSHA256": named,
                "S3ComputedContentSHA256": body_sha256,
            }
            raise AwsError("XAmzContentSHA256Mismatch", text, status=400, fields=fields)
        return named
    if named == UNSIGNED:
        return named
    return body_sha256 if body_sha256 is not None else named or EMPTY_SHA256


def _mismatch(credential: Credential, to_sign: str, canonical: str, dialect: Dialect) -> AwsError:
    if dialect.s3:
        text = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )
        fields = {
            "AWSAccessKeyId": credential.access_key,
            "StringToSign": to_sign,
            "SignatureProvided": credential.signature,
            "StringToSignBytes": to_sign.encode().hex(" "),
            "CanonicalRequest": canonical,
            "CanonicalRequestBytes": canonical.encode().hex(" "),
        }
        return AwsError(dialect.mismatch, text, status=403, fields=fields)
    text = (
        "The request signature we calculated does not match the signature you provided. Check "
        "your AWS Secret Access Key and signing method. Consult the service documentation for "
        "details."
    )
    return AwsError(dialect.mismatch, text, status=403)


# --- the canonical request -----------------------------------------------------------------------


def canonical_request(
    request: Request,
    signed_headers: tuple[str, ...],
    payload_sha256: str,
    *,
    s3: bool,
    presigned: bool = False,
) -> str:
    """The request as both sides write it down to sign it."""
    headers = request.headers
    lines = []
    for name in signed_headers:
        value = headers.get(name, "")
        if "  " in value or value[:1].isspace() or value[-1:].isspace():
            value = _SPACES.sub(" ", value).strip()
        lines.append(f"{name}:{value}\n")
    return (
        f"{request.method}\n{canonical_path(request.path, s3=s3)}\n"
        f"{canonical_query(request.query, presigned=presigned)}\n"
        f"{''.join(lines)}\n{';'.join(signed_headers)}\n{payload_sha256}"
    )


def canonical_path(path: str, *, s3: bool) -> str:
    """The path as signed: encoded once more than it was sent; for S3 once, canonically."""
    if _PLAIN_PATH.fullmatch(path) and (s3 or not ("//" in path or "/." in path)):
        return path or "/"
    if s3:
        return "/".join(quote(_unquote_path(part)) for part in path.split("/"))
    return "/".join(quote(part.encode()) for part in _normalised(path).split("/"))


def _normalised(path: str) -> str:
    """Without dot segments and empty ones (RFC 3986, section 5.2.4)."""
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if kept:
                kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    tail = "/" if kept and path.endswith(("/", "/.", "/..")) else ""
    return "/" + "/".join(kept) + tail


def _unquote_path(text: str) -> bytes:
    return _ESCAPED.sub(lambda found: bytes((int(found[1], 16),)), text.encode())


def quote(data: bytes) -> str:
    """Percent-encode all but the unreserved characters."""
    return _RESERVED.sub(lambda found: b"%%%02X" % found[0][0], data).decode("ascii")


def canonical_query(query: str, *, presigned: bool = False) -> str:
    """The parameters encoded and sorted; a presigned request's signature left out."""
    if not query:
        return ""
    pairs = []
    for part in query.split("&"):
        if not part:
            continue
        key, _, value = part.partition("=")
        if not (_CANONICAL.fullmatch(key) and _CANONICAL.fullmatch(value)):
            key, value = quote(_unquote(key).encode()), quote(_unquote(value).encode())
        if not (presigned and key == "X-Amz-Signature"):
            pairs.append((key, value))
    pairs.sort()
    return "&".join(f"{key}={value}" for key, value in pairs)


def string_to_sign(timestamp: str, scope: str, canonical: str) -> str:
    """What the signing key signs."""
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"


@lru_cache(_KEYS_MAX)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key of one day, region and service."""
    key = digest(f"AWS4{secret}".encode(), date.encode(), "sha256")
    for part in (region, service, "aws4_request"):
        key = digest(key, part.encode(), "sha256")
    return key


def amz_date(seconds: float) -> str:
    """A time as `20150830T123600Z`."""
    return strftime("%Y%m%dT%H%M%SZ", gmtime(seconds))


# --- signing -------------------------------------------------------------------------------------


_NO_BODY = BytesBody()


class Signer(Struct, frozen=True):
    """Who signs, and for which service."""

    access_key: str
    secret: str
    region: str
    service: str
    security_token: str | None = None

    def sign(self, request: Request, now_s: float, body_sha256: str) -> None:
        """Add the headers that authorise `request`; it must have its `host` header."""
        headers = request.headers
        s3 = self.service == "s3"
        headers["x-amz-date"] = timestamp = amz_date(now_s)
        if s3:
            headers["x-amz-content-sha256"] = body_sha256
        if self.security_token is not None:
            headers["x-amz-security-token"] = self.security_token
        names = tuple(
            sorted(n for n in headers if n in ("host", "content-type") or n.startswith("x-amz-"))
        )
        canonical = canonical_request(request, names, body_sha256, s3=s3)
        headers["authorization"] = (
            f"{ALGORITHM} Credential={self.access_key}/{self._scope(timestamp)}, "
            f"SignedHeaders={';'.join(names)}, Signature={self._signature(timestamp, canonical)}"
        )

    def presign(
        self,
        method: str,
        host: str,
        path: str,
        now_s: float,
        expires_s: int,
        query: Mapping[str, str] | None = None,
    ) -> str:
        """The query string that authorises `method` on `path` (percent-encoded) at `host`."""
        s3, timestamp = self.service == "s3", amz_date(now_s)
        values = dict(query or {}) | {
            "X-Amz-Algorithm": ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{self._scope(timestamp)}",
            "X-Amz-Date": timestamp,
            "X-Amz-Expires": str(expires_s),
            "X-Amz-SignedHeaders": "host",
        }
        if self.security_token is not None:
            values["X-Amz-Security-Token"] = self.security_token
        text = "&".join(f"{quote(k.encode())}={quote(v.encode())}" for k, v in values.items())
        request = Request(method, path, text, {"host": host}, _NO_BODY)
        payload = UNSIGNED if s3 else EMPTY_SHA256
        canonical = canonical_request(request, ("host",), payload, s3=s3)
        return f"{text}&X-Amz-Signature={self._signature(timestamp, canonical)}"

    def _scope(self, timestamp: str) -> str:
        return f"{timestamp[:8]}/{self.region}/{self.service}/aws4_request"

    def _signature(self, timestamp: str, canonical: str) -> str:
        key = signing_key(self.secret, timestamp[:8], self.region, self.service)
        to_sign = string_to_sign(timestamp, self._scope(timestamp), canonical)
        return digest(key, to_sign.encode(), "sha256").hex()
