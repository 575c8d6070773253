"""Objects beyond the recordings: descriptions, refusals, conditions under contention, events."""

import base64
import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lambent.kernel import Service, Verbs
from tests.servers import ThreadServer


def test_descriptions_come_back(s3: Any, bucket: str) -> None:
    described: dict[str, Any] = {
        "CacheControl": "max-age=60",
        "ContentDisposition": 'attachment; filename="f.txt"',
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "text/plain; charset=utf-8",
        "Expires": datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC),
        "Metadata": {"one": "1", "two": "a b"},
        "StorageClass": "STANDARD_IA",
    }
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **described)
    for answer in (s3.head_object(Bucket=bucket, Key="k"), s3.get_object(Bucket=bucket, Key="k")):
        assert {name: answer[name] for name in described} == described
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"][0]
    assert listed["StorageClass"] == "STANDARD_IA"


@pytest.mark.parametrize(
    "params",
    [
        {"Tagging": "a=b"},
        {"ServerSideEncryption": "aws:kms"},
        {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32},
        {"ObjectLockLegalHoldStatus": "ON"},
        {"WebsiteRedirectLocation": "/x"},
        {"ACL": "public-read"},
        {"GrantRead": 'id="1"'},
    ],
)
def test_what_is_not_honoured_is_refused(s3: Any, bucket: str, error: Any, params: Any) -> None:
    answer = error(s3.put_object, Bucket=bucket, Key="k", Body=b"x", **params)
    assert answer["Error"]["Code"] == "NotImplemented"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_archived_objects_cannot_be_read(s3: Any, bucket: str, error: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", StorageClass="GLACIER")
    answer = error(s3.get_object, Bucket=bucket, Key="k")
    assert answer["Error"]["Code"] == "InvalidObjectState"
    assert answer["Error"]["StorageClass"] == "GLACIER"
    assert s3.head_object(Bucket=bucket, Key="k")["StorageClass"] == "GLACIER"


def test_content_md5(s3: Any, bucket: str, error: Any) -> None:
    def md5(data: bytes) -> str:
        return base64.b64encode(hashlib.md5(data).digest()).decode()

    key = {"Bucket": bucket, "Key": "k", "Body": b"data"}
    s3.put_object(ContentMD5=md5(b"data"), **key)
    assert error(s3.put_object, ContentMD5=md5(b"x"), **key)["Error"]["Code"] == "BadDigest"
    answer = error(s3.put_object, ContentMD5="bogus", **key)
    assert answer["Error"]["Code"] == "InvalidDigest"


def test_limits(s3: Any, bucket: str, error: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k" * 1024, Body=b"x")
    answer = error(s3.put_object, Bucket=bucket, Key="k" * 1025, Body=b"x")
    assert answer["Error"]["Code"] == "KeyTooLongError"
    answer = error(s3.put_object, Bucket=bucket, Key="k", Metadata={"m": "x" * 2048})
    assert answer["Error"]["Code"] == "MetadataTooLarge"
    too_many = {"Objects": [{"Key": f"k{n}"} for n in range(1001)]}
    answer = error(s3.delete_objects, Bucket=bucket, Delete=too_many)
    assert answer["Error"]["Code"] == "MalformedXML"


@pytest.mark.parametrize(
    "algorithm",
    [
        "CRC32",
        "CRC32C",
        "CRC64NVME",
        "SHA1",
        "SHA256",
        "SHA512",
        "XXHASH64",
        "XXHASH3",
        "XXHASH128",
    ],
)
@pytest.mark.parametrize("size", [3, 200_000])
def test_every_checksum(s3: Any, bucket: str, algorithm: str, size: int) -> None:
    key = {"Bucket": bucket, "Key": algorithm}
    put = s3.put_object(Body=b"x" * size, ChecksumAlgorithm=algorithm, **key)
    value = put[f"Checksum{algorithm}"]
    answer = s3.get_object(ChecksumMode="ENABLED", **key)
    assert answer["Body"].read() == b"x" * size
    assert answer[f"Checksum{algorithm}"] == value
    assert f"Checksum{algorithm}" not in s3.head_object(**key)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=algorithm)["Contents"][0]
    assert listed["ChecksumAlgorithm"] == [algorithm]


def test_the_default_checksum(plain_s3: Any, bucket: str) -> None:
    put = plain_s3.put_object(Bucket=bucket, Key="k", Body=b"123456789")
    assert put["ChecksumCRC64NVME"] == base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()


def test_conditional_deletes(s3: Any, bucket: str, error: Any) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"x")["ETag"]
    answer = error(s3.delete_object, Bucket=bucket, Key="k", IfMatch='"other"')
    assert answer["Error"]["Code"] == "PreconditionFailed"
    answer = error(s3.delete_object, Bucket=bucket, Key="none", IfMatch=etag)
    assert answer["Error"]["Code"] == "NoSuchKey"
    delete = {"Objects": [{"Key": "k", "ETag": '"other"'}, {"Key": "none"}]}
    answer = s3.delete_objects(Bucket=bucket, Delete=delete)
    assert [one["Key"] for one in answer["Deleted"]] == ["none"]
    assert [one["Code"] for one in answer["Errors"]] == ["PreconditionFailed"]
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=etag)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_one_of_many_creators_wins(s3: Any, bucket: str) -> None:
    def put(n: int) -> int | None:
        try:
            s3.put_object(Bucket=bucket, Key="lock", Body=str(n).encode(), IfNoneMatch="*")
        except ClientError as refused:
            if refused.response["Error"]["Code"] != "PreconditionFailed":
                raise
            return None
        return n

    with ThreadPoolExecutor(8) as pool:
        won = [n for n in pool.map(put, range(24)) if n is not None]
    assert len(won) == 1
    assert s3.get_object(Bucket=bucket, Key="lock")["Body"].read() == str(won[0]).encode()


def test_compare_and_set_loses_no_update(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="n", Body=b"0")

    def increment(_: int) -> None:
        while True:
            got = s3.get_object(Bucket=bucket, Key="n")
            body = str(int(got["Body"].read()) + 1).encode()
            try:
                s3.put_object(Bucket=bucket, Key="n", Body=body, IfMatch=got["ETag"])
            except ClientError as refused:
                code = refused.response["Error"]["Code"]
                if code not in ("PreconditionFailed", "ConditionalRequestConflict"):
                    raise
            else:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(increment, range(12)))
    assert s3.get_object(Bucket=bucket, Key="n")["Body"].read() == b"12"


def test_events(monkeypatch: pytest.MonkeyPatch, server_factory: Any) -> None:
    """What consumers of notifications will be told, from a service that listens in."""
    heard: list[tuple[str, Any]] = []

    async def created(_: Any, detail: Any) -> None:
        heard.append(("created", detail))

    async def removed(_: Any, detail: Any) -> None:
        heard.append(("removed", detail))

    listener = Service(
        name="sts",
        parts=(Verbs(),),
        consumers={"s3.ObjectCreated": created, "s3.ObjectRemoved": removed},
    )
    from lambent.cli import serve
    from lambent.services import s3 as package

    monkeypatch.setattr(serve, "SERVICES", (package.SERVICE, listener))
    server = server_factory()
    s3 = server.client("s3")
    s3.create_bucket(Bucket="eventful")
    s3.put_object(Bucket="eventful", Key="k", Body=b"abc")
    s3.copy_object(Bucket="eventful", Key="c", CopySource="eventful/k")
    s3.delete_object(Bucket="eventful", Key="none")
    s3.delete_objects(Bucket="eventful", Delete={"Objects": [{"Key": "k"}, {"Key": "none"}]})
    server.run(server.platform.settled())
    base = {"bucket": "eventful", "size": 3, "etag": hashlib.md5(b"abc").hexdigest()}
    assert [one for one in heard if one[0] == "created"] == [
        ("created", base | {"key": "k", "operation": "Put"}),
        ("created", base | {"key": "c", "operation": "Copy"}),
    ]
    assert [one for one in heard if one[0] == "removed"] == [
        ("removed", base | {"key": "k", "operation": "Delete"})
    ]


def test_a_delivery_is_an_object(server: ThreadServer, s3: Any, bucket: str) -> None:
    from lambent.kernel.delivery import Delivery

    platform = server.platform
    delivery = Delivery(
        target=f"arn:aws:s3:::{bucket}/failed/",
        payload=b'{"n": 1}',
        attributes={"Key": "one.json", "ContentType": "application/json"},
    )

    async def deliver() -> None:
        ctx = platform.context("s3", "000000000000", "us-east-1")
        platform.deliveries.check(delivery.target)
        await platform.deliveries.send(ctx, delivery)

    server.run(deliver())
    answer: dict[str, Any] = {}
    while not answer:  # a due delivery is attempted in a task of its own
        server.run(platform.settled())
        if "Contents" in s3.list_objects_v2(Bucket=bucket):
            answer = s3.get_object(Bucket=bucket, Key="failed/one.json")
    assert answer["Body"].read() == b'{"n": 1}'
    assert answer["ContentType"] == "application/json"


def test_in_process_calls(server: ThreadServer, s3: Any, bucket: str) -> None:
    """As Lambda reads its code: bytes in, and a body out that is bytes or a stream."""

    async def round_trip() -> Any:
        ctx = server.platform.context("lambda", "000000000000", "us-east-1")
        await ctx.call("s3", "PutObject", {"Bucket": bucket, "Key": "k", "Body": b"code"})
        return await ctx.call("s3", "GetObject", {"Bucket": bucket, "Key": "k"})

    answer = server.run(round_trip())
    assert answer["Body"] == b"code"
    assert "_blobs" not in answer
