"""Buckets beyond the recordings: accounts, regions, paging, deleting while others write."""

import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers import ThreadServer

OTHER = "111122223333"


def test_creating_again(server: ThreadServer, s3: Any, bucket: str, error: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    assert s3.create_bucket(Bucket=bucket)["Location"] == f"/{bucket}"
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"
    answer = error(server.client("s3", account=OTHER).create_bucket, Bucket=bucket)
    assert answer["Error"]["Code"] == "BucketAlreadyExists"
    assert answer["Error"]["BucketName"] == bucket
    west = server.client("s3", region="us-west-2")
    where = {"LocationConstraint": "us-west-2"}
    answer = error(west.create_bucket, Bucket=bucket, CreateBucketConfiguration=where)
    assert answer["Error"]["Code"] == "BucketAlreadyOwnedByYou"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 409
    west.create_bucket(Bucket="west-twice", CreateBucketConfiguration=where)
    answer = error(west.create_bucket, Bucket="west-twice", CreateBucketConfiguration=where)
    assert answer["Error"]["Code"] == "BucketAlreadyOwnedByYou"


def test_accounts_are_strangers(server: ThreadServer, s3: Any, bucket: str, error: Any) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"mine")
    stranger = server.client("s3", account=OTHER)
    for call, params in (
        (stranger.get_object, {"Key": "k"}),
        (stranger.put_object, {"Key": "k", "Body": b"x"}),
        (stranger.delete_object, {"Key": "k"}),
        (stranger.list_objects_v2, {}),
        (stranger.delete_bucket, {}),
        (stranger.create_multipart_upload, {"Key": "k"}),
    ):
        answer = error(call, Bucket=bucket, **params)
        assert answer["Error"]["Code"] == "AccessDenied", call
    assert error(stranger.head_bucket, Bucket=bucket)["Error"]["Code"] == "403"
    stranger.create_bucket(Bucket=f"{bucket}-2")
    copy = {"Bucket": f"{bucket}-2", "Key": "k", "CopySource": f"{bucket}/k"}
    assert error(stranger.copy_object, **copy)["Error"]["Code"] == "AccessDenied"
    assert bucket not in [one["Name"] for one in stranger.list_buckets()["Buckets"]]


def test_expected_owner(s3: Any, bucket: str, error: Any) -> None:
    s3.head_bucket(Bucket=bucket, ExpectedBucketOwner="000000000000")
    s3.put_object(Bucket=bucket, Key="k", ExpectedBucketOwner="000000000000")
    for call in (s3.get_object, s3.put_object, s3.delete_object):
        answer = error(call, Bucket=bucket, Key="k", ExpectedBucketOwner=OTHER)
        assert answer["Error"]["Code"] == "AccessDenied"
    answer = error(s3.get_object, Bucket=bucket, Key="k", ExpectedBucketOwner="abcd")
    assert answer["Error"]["Code"] == "InvalidBucketOwnerAWSAccountID"
    assert answer["Error"]["Message"].endswith("Account ID... [abcd]")


def test_the_wrong_region(server: ThreadServer, s3: Any, error: Any) -> None:
    where = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="in-ireland", CreateBucketConfiguration=where)
    # boto3 follows the redirect by itself, as it does with AWS.
    s3.put_object(Bucket="in-ireland", Key="k", Body=b"x")
    assert s3.get_bucket_location(Bucket="in-ireland")["LocationConstraint"] == "eu-west-1"
    scope = "000000000000/20260101/us-east-1/s3/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    headers = {"Authorization": signed, "X-Amz-Date": "20260101T000000Z"}
    asked = urllib.request.Request(f"{server.url}/in-ireland/k", headers=headers)
    with pytest.raises(urllib.error.HTTPError) as redirect:
        urllib.request.urlopen(asked)
    with redirect.value as answer:
        assert (answer.code, answer.headers["x-amz-bucket-region"]) == (301, "eu-west-1")
        text = answer.read()
    assert b"<Code>PermanentRedirect</Code>" in text
    assert b"<Bucket>in-ireland</Bucket>" in text
    home = server.client("s3", region="eu-west-1")
    assert home.get_object(Bucket="in-ireland", Key="k")["Body"].read() == b"x"


def test_copies_cross_regions(server: ThreadServer, s3: Any, bucket: str) -> None:
    where = {"LocationConstraint": "eu-central-1"}
    s3.create_bucket(Bucket="in-frankfurt", CreateBucketConfiguration=where)
    home = server.client("s3", region="eu-central-1")
    home.put_object(Bucket="in-frankfurt", Key="k", Body=b"far")
    s3.copy_object(Bucket=bucket, Key="near", CopySource="in-frankfurt/k")
    assert s3.get_object(Bucket=bucket, Key="near")["Body"].read() == b"far"


def test_listing_pages(server: ThreadServer, error: Any) -> None:
    s3 = server.client("s3", account="222222222222")
    names = [f"paged-{n:02d}" for n in range(7)]
    for name in names:
        s3.create_bucket(Bucket=name)
    where = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="elsewhere", CreateBucketConfiguration=where)
    found: list[str] = []
    params: dict[str, Any] = {"MaxBuckets": 3, "Prefix": "paged-"}
    while True:
        answer = s3.list_buckets(**params)
        found += [one["Name"] for one in answer["Buckets"]]
        assert all(one["BucketRegion"] == "us-east-1" for one in answer["Buckets"])
        if "ContinuationToken" not in answer:
            break
        params["ContinuationToken"] = answer["ContinuationToken"]
    assert found == names
    answer = s3.list_buckets(BucketRegion="eu-west-1")
    assert [one["Name"] for one in answer["Buckets"]] == ["elsewhere"]
    assert len(s3.list_buckets()["Buckets"]) == 8
    answer = error(s3.list_buckets, MaxBuckets=10_001)
    assert answer["Error"]["Code"] == "InvalidArgument"
    answer = error(s3.list_buckets, ContinuationToken="bogus")
    assert answer["Error"]["ArgumentName"] == "continuation-token"


def test_deleting_drops_uploads(s3: Any, bucket: str, error: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    answer = error(s3.list_parts, Bucket=bucket, Key="k", UploadId=upload)
    assert answer["Error"]["Code"] == "NoSuchUpload"


def test_no_object_outlives_its_bucket(s3: Any, bucket: str) -> None:
    """Puts race a delete: whatever was acknowledged is there, or the bucket could not go."""

    def done(call: Callable[..., Any], *refusals: str, **params: Any) -> bool:
        try:
            call(Bucket=bucket, **params)
        except ClientError as refused:
            if refused.response["Error"]["Code"] not in refusals:
                raise
            return False
        return True

    def put(n: int) -> bool:
        return done(s3.put_object, "NoSuchBucket", "OperationAborted", Key=f"k{n}", Body=b"x")

    def delete() -> bool:
        return done(s3.delete_bucket, "BucketNotEmpty", "NoSuchBucket")

    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            s3.create_bucket(Bucket=bucket)
            puts = [pool.submit(put, n) for n in range(4)]
            gone = pool.submit(delete).result()
            stored = sum(one.result() for one in puts)
            assert not (gone and stored), "an acknowledged object lost its bucket"
            s3.create_bucket(Bucket=bucket)
            listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
            assert len(listed) == stored
            for one in listed:
                s3.delete_object(Bucket=bucket, Key=one["Key"])


@pytest.mark.parametrize(
    ("params", "header"),
    [
        ({"ACL": "public-read"}, "x-amz-acl"),
        ({"ObjectLockEnabledForBucket": True}, "x-amz-bucket-object-lock-enabled"),
        ({"ObjectOwnership": "ObjectWriter"}, "x-amz-object-ownership"),
    ],
)
def test_options_of_creation(s3: Any, error: Any, params: dict[str, Any], header: str) -> None:
    answer = error(s3.create_bucket, Bucket="with-options", **params)
    assert answer["Error"]["Header"] == header
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_reset_gives_names_back(server: ThreadServer) -> None:
    s3 = server.client("s3", account="333333333333")
    s3.create_bucket(Bucket="reset-me")
    s3.put_object(Bucket="reset-me", Key="k", Body=b"x")
    server.run(server.platform.reset(account="333333333333"))
    assert s3.list_buckets()["Buckets"] == []
    other = server.client("s3", account="444444444444")
    other.create_bucket(Bucket="reset-me")
    assert "Contents" not in other.list_objects_v2(Bucket="reset-me")
