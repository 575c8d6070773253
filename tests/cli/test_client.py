"""The command line's AWS client: who it is, where it goes, and what it says when that fails."""

import argparse
from pathlib import Path

import pytest

from lambent.base.errors import AwsError
from lambent.cli import client
from lambent.cli.client import Answer, Client, Credentials
from lambent.cli.errors import CommandError


def chosen(*words: str) -> Client:
    parser = argparse.ArgumentParser()
    client.add_arguments(parser)
    return Client.chosen(parser.parse_args(words))


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("ENDPOINT_URL", "REGION", "DEFAULT_REGION", "ACCESS_KEY_ID", "PROFILE"):
        monkeypatch.delenv(f"AWS_{name}", raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    return monkeypatch


def test_without_anything_it_goes_to_the_local_server() -> None:
    one = chosen()
    assert (one.endpoint, one.region) == ("http://127.0.0.1:4566", "us-east-1")
    assert one.credentials == Credentials("lambent", "lambent")


def test_flags_beat_the_environment(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("AWS_ENDPOINT_URL", "http://other:1")
    bare.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    bare.setenv("AWS_ACCESS_KEY_ID", "key")
    bare.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    bare.setenv("AWS_SESSION_TOKEN", "token")
    one = chosen()
    assert (one.endpoint, one.region) == ("http://other:1", "eu-west-1")
    assert one.credentials == Credentials("key", "secret", "token")
    bare.setenv("AWS_REGION", "eu-north-1")
    assert chosen().region == "eu-north-1"
    two = chosen("--endpoint", "https://x/", "--region", "us-west-2", "--account", "111122223333")
    assert (two.endpoint, two.region) == ("https://x", "us-west-2")
    assert two.credentials.access_key == "111122223333"


def test_credentials_come_from_the_shared_file(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = one\naws_secret_access_key = a%b\n"
        "[other]\naws_access_key_id = two\naws_secret_access_key = c\naws_session_token = t\n"
        "[empty]\n"
    )
    assert chosen().credentials == Credentials("one", "a%b")
    bare.setenv("AWS_PROFILE", "other")
    assert chosen().credentials == Credentials("two", "c", "t")
    bare.setenv("AWS_PROFILE", "empty")
    assert chosen().credentials == Credentials("lambent", "lambent")
    (tmp_path / "credentials").write_text("no section\n")
    with pytest.raises(CommandError, match="cannot read credentials"):
        chosen()


@pytest.mark.parametrize("endpoint", ["localhost:4566", "ftp://x", "http://", ""])
def test_an_endpoint_must_be_an_address(endpoint: str) -> None:
    with pytest.raises(CommandError, match="--endpoint must be an address") as refused:
        Client(endpoint, "us-east-1", Credentials("a", "b"))
    assert refused.value.status == 2


@pytest.mark.parametrize("account", ["1", "12345678901x", "1234567890123"])
def test_an_account_has_twelve_digits(account: str) -> None:
    with pytest.raises(CommandError, match="--account must be 12 digits"):
        chosen("--account", account)


def test_nobody_there_says_what_to_do(unused_port: int) -> None:
    one = chosen("--endpoint", f"http://127.0.0.1:{unused_port}")
    with pytest.raises(CommandError, match=r"nothing answers at .*: start it with `lambent serve`"):
        one.call("lambda", "GET", "/")


def test_a_name_that_does_not_resolve_is_told() -> None:
    with pytest.raises(CommandError, match=r"no proper answer from http://nowhere\.invalid"):
        chosen("--endpoint", "http://nowhere.invalid").call("lambda", "GET", "/")


@pytest.mark.parametrize(
    ("headers", "body", "code", "message"),
    [
        ({"x-amzn-errortype": "Throttled:http://x"}, b'{"message": "m"}', "Throttled", "m"),
        ({}, b'{"__type": "com.amazon#Missing", "Message": "m"}', "Missing", "m"),
        ({}, b'{"code": "Old", "message": "m"}', "Old", "m"),
        ({}, b"<Error><Code>C</Code><Message>m</Message></Error>", "C", "m"),
        ({}, b"<html>no</html>", "HTTP 400", "<html>no</html>"),
        ({}, b"", "HTTP 400", "(no further words)"),
        ({}, b"[]", "HTTP 400", "[]"),
    ],
)
def test_errors_are_read_however_they_are_spelt(
    headers: dict[str, str], body: bytes, code: str, message: str
) -> None:
    error = client._error(Answer(400, headers, body))
    assert isinstance(error, AwsError)
    assert (error.code, error.message) == (code, message)


def test_an_answer_that_is_not_json_is_no_answer() -> None:
    with pytest.raises(CommandError, match="not JSON"):
        Answer(200, {}, b"<html>").json()
    assert Answer(200, {}, b"").json() == {}
