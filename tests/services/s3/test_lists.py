"""Listings through the server: many keys, paginators, encodings, concurrent writers."""

import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.servers import ThreadServer


@pytest.fixture(scope="module")
def many(server: ThreadServer) -> list[str]:
    """1,203 keys in bucket `many`, in order."""
    s3 = server.client("s3")
    s3.create_bucket(Bucket="many")
    keys = [f"d{n % 3}/{n:04d}" for n in range(1200)] + ["a", "z/", "ü"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket="many", Key=key, Body=b"x"), keys))
    return sorted(keys, key=str.encode)


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects"])
@pytest.mark.parametrize("size", [1000, 400, 7])
def test_paginators(server: ThreadServer, many: list[str], operation: str, size: int) -> None:
    pages = list(
        server.client("s3")
        .get_paginator(operation)
        .paginate(Bucket="many", PaginationConfig={"PageSize": size})
    )
    assert [one["Key"] for page in pages for one in page["Contents"]] == many
    assert len(pages) == -(-len(many) // size)


@pytest.mark.parametrize("operation", ["list_objects_v2", "list_objects"])
def test_delimiters(server: ThreadServer, many: list[str], operation: str) -> None:
    pages = (
        server.client("s3")
        .get_paginator(operation)
        .paginate(Bucket="many", Delimiter="/", PaginationConfig={"PageSize": 2})
    )
    found: list[str] = []
    for page in pages:
        found += [one["Key"] for one in page.get("Contents", [])]
        found += [one["Prefix"] for one in page.get("CommonPrefixes", [])]
    assert sorted(found, key=str.encode) == ["a", "d0/", "d1/", "d2/", "z/", "ü"]


def test_odd_pages(server: ThreadServer, many: list[str], error: Any) -> None:
    s3 = server.client("s3")
    answer = s3.list_objects_v2(Bucket="many", MaxKeys=0)
    assert (answer["KeyCount"], answer["IsTruncated"]) == (0, False)
    assert len(s3.list_objects_v2(Bucket="many", MaxKeys=5000)["Contents"]) == 1000
    answer = error(s3.list_objects_v2, Bucket="many", MaxKeys=-1)
    assert answer["Error"]["ArgumentName"] == "max-keys"
    answer = s3.list_objects_v2(Bucket="many", StartAfter="d2/" + "z" * 2000)
    assert [one["Key"] for one in answer["Contents"]] == ["z/", "ü"]
    answer = s3.list_objects_v2(Bucket="many", FetchOwner=True, MaxKeys=1)
    assert answer["Contents"][0]["Owner"] == s3.list_buckets()["Owner"]


def test_encodings(server: ThreadServer, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a b/ü&", Body=b"x")
    with urllib.request.urlopen(f"{server.url}/{bucket}?list-type=2") as answer:
        assert "<Key>a b/ü&amp;</Key>" in answer.read().decode()
    with urllib.request.urlopen(f"{server.url}/{bucket}?list-type=2&encoding-type=url") as answer:
        assert "<Key>a+b/%C3%BC%26</Key>" in answer.read().decode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.url}/{bucket}?list-type=2&encoding-type=xml")
    with refused.value:
        assert b"Invalid Encoding Method specified in Request" in refused.value.read()


def test_uploads_by_page(s3: Any, bucket: str) -> None:
    ids = [
        (key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"])
        for key in ("a", "b", "b", "b", "c/1", "c/2")
    ]
    pages = s3.get_paginator("list_multipart_uploads").paginate(
        Bucket=bucket, PaginationConfig={"PageSize": 2}
    )
    found = [(one["Key"], one["UploadId"]) for page in pages for one in page["Uploads"]]
    assert found == ids
    answer = s3.list_multipart_uploads(Bucket=bucket, KeyMarker="b")
    assert [one["Key"] for one in answer["Uploads"]] == ["c/1", "c/2"]
    first = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/", MaxUploads=4)
    assert first["IsTruncated"]
    rest = s3.list_multipart_uploads(
        Bucket=bucket,
        Delimiter="/",
        KeyMarker=first["NextKeyMarker"],
        UploadIdMarker=first["NextUploadIdMarker"],
    )
    assert [one["Prefix"] for one in rest["CommonPrefixes"]] == ["c/"]


def test_tokens_belong_to_their_bucket(server: ThreadServer, many: list[str], error: Any) -> None:
    s3 = server.client("s3")
    token = s3.list_objects_v2(Bucket="many", MaxKeys=1)["NextContinuationToken"]
    s3.create_bucket(Bucket="not-many")
    answer = error(s3.list_objects_v2, Bucket="not-many", ContinuationToken=token)
    assert answer["Error"]["Message"] == "The continuation token provided is incorrect"
