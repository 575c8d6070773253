"""A small AWS client for the daily verbs: signed requests to any endpoint, errors as `AwsError`.

Not boto3, which is large, slow to import and no dependency of the server. Credentials come from
where AWS's tools look first: the environment, then the shared credentials file.
Source: https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html
"""

import argparse
import configparser
import http.client
import json
import re
import select
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from lambent.base.clock import RealClock
from lambent.base.config import environment
from lambent.base.errors import AwsError
from lambent.cli.errors import CommandError
from lambent.net import BytesBody, Request
from lambent.wire.sigv4 import Signer

DEFAULT_ENDPOINT = "http://127.0.0.1:4566"
REQUEST_S_MAX = 960.0
"""Longer than the longest function may run (900 s): a server that is silent beyond it is gone."""

ACCOUNT_DIGITS = 12
FUNCTIONS = "/2015-03-31/functions"
"""Where Lambda's functions are."""

_XML_CODE = re.compile(r"<Code>([^<]*)</Code>")
_XML_MESSAGE = re.compile(r"<Message>([^<]*)</Message>")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What requests are signed with."""

    access_key: str
    secret: str
    token: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """A successful HTTP response; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        try:
            value = json.loads(self.body or b"{}")
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise CommandError("the answer is not JSON: does something else use this address?")
        return value


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every verb that talks to a server."""
    group = parser.add_argument_group("server")
    group.add_argument(
        "--endpoint", metavar="URL", help=f"[$AWS_ENDPOINT_URL, else {DEFAULT_ENDPOINT}]"
    )
    group.add_argument("--region", help="[$AWS_REGION, $AWS_DEFAULT_REGION, else us-east-1]")
    group.add_argument(
        "--account", metavar="DIGITS", help="act in this account (a server with --auth off)"
    )


class Client:
    """One server, one region, one identity."""

    def __init__(self, endpoint: str, region: str, credentials: Credentials) -> None:
        self.endpoint = endpoint.rstrip("/")
        self.region = region
        self.credentials = credentials
        parts = urlsplit(self.endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(
                f"--endpoint must be an address like {DEFAULT_ENDPOINT}, not {endpoint!r}", 2
            )
        self._secure = parts.scheme == "https"
        self._host = parts.netloc
        self._base = parts.path

    @classmethod
    def chosen(cls, arguments: argparse.Namespace) -> "Client":
        """The client that the command line and the environment name."""
        env = environment()
        region = arguments.region or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
        return cls(
            arguments.endpoint or env.get("AWS_ENDPOINT_URL") or DEFAULT_ENDPOINT,
            region or "us-east-1",
            _credentials(env, arguments.account),
        )

    def call(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """One signed request; `path` is percent-encoded already.

        Errors: AwsError as the server answered it; CommandError if nothing answers.
        """
        answer = self.exchange(service, method, path, query=query, headers=headers, body=body)
        if answer.status >= http.client.BAD_REQUEST:
            raise _error(answer)
        return answer

    def exchange(
        self,
        service: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """As `call`, with an error answered as it came."""
        path = self._base + path
        encoded = urlencode(sorted((query or {}).items()), quote_via=quote)
        signed = self._sign(service, method, path, encoded, dict(headers or {}), body)
        target = f"{path}?{encoded}" if encoded else path
        connection = self._connection()
        try:
            connection.request(method, target, body=body or None, headers=signed)
            response = connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, received, response.read())
        except ConnectionRefusedError:
            raise CommandError(
                f"nothing answers at {self.endpoint}: start it with `lambent serve`, "
                "or name another server with --endpoint"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            reason = str(error) or type(error).__name__
            raise CommandError(f"no proper answer from {self.endpoint}: {reason}") from error
        finally:
            connection.close()

    def operation(self, service: str, target: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """One operation of a JSON 1.1 service, by its `X-Amz-Target`."""
        headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": target}
        body = json.dumps(params).encode()
        return self.call(service, "POST", "/", headers=headers, body=body).json()

    def query(self, service: str, version: str, action: str, params: Mapping[str, str]) -> str:
        """One operation of a query-protocol service; the answer's XML."""
        body = urlencode({"Action": action, "Version": version} | dict(params)).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return self.call(service, "POST", "/", headers=headers, body=body).body.decode()

    def control(self, method: str, path: str, params: Mapping[str, Any] | None = None) -> Answer:
        """A control address of Lambent, as `exchange`."""
        body = b"" if params is None else json.dumps(params).encode()
        headers = {"Content-Type": "application/json"}
        return self.exchange("lambent", method, f"/_lambent/{path}", headers=headers, body=body)

    def controlled(
        self, method: str, path: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What a control address answers. Errors: CommandError with the server's words."""
        answer = self.control(method, path, params)
        if answer.status < http.client.BAD_REQUEST:
            return answer.json()
        told = answer.json()
        if "error" not in told:
            raise CommandError(f"{self.endpoint} is not a Lambent server (HTTP {answer.status})")
        raise CommandError(f"{told['error']}: {told.get('message', '')}")

    def _connection(self) -> http.client.HTTPConnection:
        if self._secure:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, timeout=REQUEST_S_MAX, context=context)
        return http.client.HTTPConnection(self._host, timeout=REQUEST_S_MAX)

    def _sign(
        self, service: str, method: str, path: str, query: str, headers: Mapping[str, str],
        body: bytes,
    ) -> dict[str, str]:  # fmt: skip
        """All headers of the request."""
        who = self.credentials
        signer = Signer(who.access_key, who.secret, self.region, service, who.token or None)
        signed = {name.lower(): value for name, value in headers.items()}
        signed["host"] = self._host
        request = Request(method, path, query, signed, BytesBody(body))
        signer.sign(request, RealClock().now(), sha256(body).hexdigest())
        return signed


def pause(delay_s: float) -> None:
    """Wait between two looks at a server.

    Not on an event loop made for the moment: Ctrl-C in the middle of making one is not quiet.
    """
    select.select([], [], [], delay_s)


def _credentials(env: Mapping[str, str], account: str | None) -> Credentials:
    if account is not None:
        if not (account.isdecimal() and len(account) == ACCOUNT_DIGITS):
            raise CommandError(f"--account must be {ACCOUNT_DIGITS} digits, not {account!r}", 2)
        # An access key id of 12 digits is that account, wherever signatures are not verified.
        return Credentials(account, "lambent")
    if (key := env.get("AWS_ACCESS_KEY_ID")) and (secret := env.get("AWS_SECRET_ACCESS_KEY")):
        return Credentials(key, secret, env.get("AWS_SESSION_TOKEN", ""))
    return _shared_credentials(env) or Credentials("lambent", "lambent")


def _shared_credentials(env: Mapping[str, str]) -> Credentials | None:
    """The profile of the shared credentials file, if there is one with keys in it."""
    file = configparser.ConfigParser(interpolation=None)
    path = env.get("AWS_SHARED_CREDENTIALS_FILE") or str(Path.home() / ".aws" / "credentials")
    try:
        file.read(path)
    except (configparser.Error, UnicodeDecodeError) as error:
        raise CommandError(f"cannot read credentials: {error}") from error
    name = env.get("AWS_PROFILE") or "default"
    if not file.has_section(name):
        return None
    profile = file[name]
    if "aws_access_key_id" not in profile or "aws_secret_access_key" not in profile:
        return None
    return Credentials(
        profile["aws_access_key_id"],
        profile["aws_secret_access_key"],
        profile.get("aws_session_token", ""),
    )


def _error(answer: Answer) -> AwsError:
    """The AWS error of an answer, whichever protocol spelt it."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        text = answer.body.decode("utf-8", "replace").strip()
        if found := _XML_CODE.search(text):
            told = _XML_MESSAGE.search(text)
            return AwsError(found[1], told[1] if told else "", status=answer.status)
        return AwsError(f"HTTP {answer.status}", text[:500] or "(no further words)")
    code = answer.headers.get("x-amzn-errortype") or str(body.get("__type") or body.get("code"))
    message = body.get("message") or body.get("Message") or ""
    return AwsError(code.split(":", 1)[0].rsplit("#", 1)[-1], str(message), status=answer.status)
