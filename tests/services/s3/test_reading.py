"""Reading across addresses: virtual hosts, presigned URLs, ranges over parts."""

import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from tests.servers import ThreadServer

PART = 5 * 1024 * 1024


@pytest.fixture(scope="module")
def in_parts(server: ThreadServer) -> bytes:
    """The content of `in-parts/k`, three parts of different sizes."""
    s3 = server.client("s3")
    s3.create_bucket(Bucket="in-parts")
    key = {"Bucket": "in-parts", "Key": "k"}
    bodies = [b"a" * PART, b"bc" * (PART // 2 + 7), b"tail"]
    of = {"UploadId": s3.create_multipart_upload(**key)["UploadId"], **key}
    listed = [
        {"PartNumber": n, "ETag": s3.upload_part(PartNumber=n, Body=body, **of)["ETag"]}
        for n, body in enumerate(bodies, 1)
    ]
    s3.complete_multipart_upload(MultipartUpload={"Parts": listed}, **of)
    return b"".join(bodies)


@pytest.mark.parametrize(
    ("first", "last"),
    [(0, 9), (PART - 3, PART + 3), (PART, 2 * PART), (2 * PART + 10, 2 * PART + 17), (7, None)],
)
def test_ranges_over_parts(
    server: ThreadServer, in_parts: bytes, first: int, last: int | None
) -> None:
    header = f"bytes={first}-{'' if last is None else last}"
    answer = server.client("s3").get_object(Bucket="in-parts", Key="k", Range=header)
    expected = in_parts[first:] if last is None else in_parts[first : last + 1]
    assert answer["Body"].read() == expected
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
    stop = first + len(expected) - 1
    assert answer["ContentRange"] == f"bytes {first}-{stop}/{len(in_parts)}"


def test_each_part(server: ThreadServer, in_parts: bytes) -> None:
    s3, joined = server.client("s3"), b""
    for number in (1, 2, 3):
        answer = s3.get_object(Bucket="in-parts", Key="k", PartNumber=number)
        assert answer["PartsCount"] == 3
        joined += answer["Body"].read()
    assert joined == in_parts


def test_an_object_replaced_while_it_is_read(server: ThreadServer, s3: Any, bucket: str) -> None:
    old, new = b"old" * 5_000_000, b"new"
    s3.put_object(Bucket=bucket, Key="k", Body=old)
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    assert body.read(10) == old[:10]
    s3.put_object(Bucket=bucket, Key="k", Body=new)
    assert body.read() == old[10:]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == new


def test_virtual_hosts(server: ThreadServer, s3: Any, bucket: str) -> None:
    port = server.url.rpartition(":")[2]
    for host in (f"{bucket}.s3.localhost:{port}", f"{bucket}.s3.us-east-1.localhost:{port}"):
        asked = urllib.request.Request(f"{server.url}/a%20b", b"hi", {"Host": host}, method="PUT")
        with urllib.request.urlopen(asked) as answer:
            assert answer.status == 200
        assert s3.get_object(Bucket=bucket, Key="a b")["Body"].read() == b"hi"
        asked = urllib.request.Request(f"{server.url}/?list-type=2", headers={"Host": host})
        with urllib.request.urlopen(asked) as answer:
            assert b"<Key>a b</Key>" in answer.read()


def fetch(url: str, data: bytes | None = None, method: str = "GET") -> tuple[int, bytes]:
    asked = urllib.request.Request(url, data, method=method)
    if data is not None:
        asked.add_header("Content-Type", "")
    try:
        with urllib.request.urlopen(asked) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def test_presigned(server: ThreadServer, s3: Any, bucket: str) -> None:
    key = {"Bucket": bucket, "Key": "über/a b+c"}
    url = s3.generate_presigned_url("put_object", Params=key)
    assert fetch(url, b"body", "PUT")[0] == 200
    url = s3.generate_presigned_url(
        "get_object", Params=key | {"ResponseContentType": "text/x-test"}
    )
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"body"
        assert answer.headers["Content-Type"] == "text/x-test"


def test_presigned_and_verified(enforcing_server: ThreadServer) -> None:
    s3 = enforcing_server.client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="signed")
    key = {"Bucket": "signed", "Key": "über/a b+c"}
    url = s3.generate_presigned_url("put_object", Params=key)
    assert fetch(url, b"body", "PUT") == (200, b"")
    url = s3.generate_presigned_url("get_object", Params=key, ExpiresIn=60)
    assert fetch(url) == (200, b"body")
    status, text = fetch(url.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"))
    assert (status, b"<Code>SignatureDoesNotMatch</Code>" in text) == (403, True)


def test_presigned_urls_expire(server_factory: Any) -> None:
    server = server_factory(enforce=True, virtual_clock=True)
    s3 = server.client("s3", signature_version="s3v4")
    s3.create_bucket(Bucket="expiring")
    s3.put_object(Bucket="expiring", Key="k", Body=b"body")
    url = s3.generate_presigned_url(
        "get_object", Params={"Bucket": "expiring", "Key": "k"}, ExpiresIn=60
    )
    assert fetch(url) == (200, b"body")
    server.clock.advance(120)
    status, text = fetch(url)
    assert status == 403
    assert b"<Message>Request has expired</Message>" in text


def test_signed_chunks(enforcing_server: ThreadServer) -> None:
    """boto3 signs bodies whole over HTTP; both ways of content pass the verification."""
    s3 = enforcing_server.client("s3")
    s3.create_bucket(Bucket="chunks")
    for size in (10, 300_000):
        s3.put_object(Bucket="chunks", Key="k", Body=b"x" * size, ChecksumAlgorithm="SHA256")
        assert s3.get_object(Bucket="chunks", Key="k")["Body"].read() == b"x" * size
