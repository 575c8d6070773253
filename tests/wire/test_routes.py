"""Paths to operations: S3's crowded ones, greedy labels, and what wins."""

import pytest

from lambent.net import BytesBody, Request
from lambent.wire import ServiceModel
from lambent.wire.routes import Routes
from tests.wire.generate import codec_of


def request(method: str, path: str, query: str = "", **headers: str) -> Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Request(method, path, query, named, BytesBody())


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("GET", "/b", "", {}, "ListObjects"),
        ("GET", "/b/", "list-type=2&prefix=x", {}, "ListObjectsV2"),
        ("GET", "/b", "versions", {}, "ListObjectVersions"),
        ("GET", "/b", "uploads=", {}, "ListMultipartUploads"),
        ("GET", "/b", "lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("GET", "/b", "analytics", {}, "ListBucketAnalyticsConfigurations"),
        ("GET", "/b", "analytics&id=1", {}, "GetBucketAnalyticsConfiguration"),
        ("HEAD", "/b", "", {}, "HeadBucket"),
        ("PUT", "/b", "", {}, "CreateBucket"),
        ("POST", "/b", "delete", {}, "DeleteObjects"),
        ("GET", "/b/k", "", {}, "GetObject"),
        ("GET", "/b/k/with/slashes/", "versionId=3", {}, "GetObject"),
        ("GET", "/b/k", "uploadId=1", {}, "ListParts"),
        ("GET", "/b/k", "tagging", {}, "GetObjectTagging"),
        ("PUT", "/b/k", "", {}, "PutObject"),
        ("PUT", "/b/k", "x-id=PutObject", {}, "PutObject"),
        ("PUT", "/b/k", "", {"x_amz_copy_source": "/a/b"}, "CopyObject"),
        ("PUT", "/b/k", "partNumber=1&uploadId=2", {}, "UploadPart"),
        (
            "PUT",
            "/b/k",
            "partNumber=1&uploadId=2",
            {"x_amz_copy_source": "/a/b"},
            "UploadPartCopy",
        ),
        ("POST", "/b/k", "uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k", "uploadId=2", {}, "CompleteMultipartUpload"),
        ("DELETE", "/b/k", "uploadId=2", {}, "AbortMultipartUpload"),
        ("DELETE", "/b/k", "", {}, "DeleteObject"),
        ("POST", "/b/k", "select&select-type=2", {}, "SelectObjectContent"),
    ],
)
def test_s3_operations_are_told_apart(
    method: str, path: str, query: str, headers: dict[str, str], operation: str
) -> None:
    assert codec_of("s3").match(request(method, path, query, **headers)).operation == operation


def test_s3_keys_keep_their_slashes() -> None:
    call = codec_of("s3").match(request("GET", "/b/a%2Fb//c%20d/"))
    assert call.labels == {"Bucket": "b", "Key": "a/b//c d/"}


def routes(**uris: str) -> Routes:
    operations = {
        name: {"name": name, "http": {"method": "GET", "requestUri": uri}}
        for name, uri in uris.items()
    }
    model = {"metadata": {"protocol": "rest-json"}, "operations": operations}
    return Routes(ServiceModel.from_dict(model))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/", ("Root", {})),
        ("/a", ("Fixed", {})),
        ("/b", ("One", {"x": "b"})),
        ("/b/", ("One", {"x": "b"})),
        ("/a/c", ("Two", {"y": "c"})),
        ("/b/c/d", ("Rest", {"x": "b", "y": "c/d"})),
        ("/b/c/d/end", ("Tail", {"x": "b", "y": "c/d"})),
        ("/%2F%C3%A9", ("One", {"x": "/é"})),
    ],
)
def test_the_most_specific_path_wins(path: str, found: tuple[str, dict[str, str]]) -> None:
    table = routes(
        Root="/",
        Rest="/{x}/{y+}",
        Tail="/{x}/{y+}/end",
        One="/{x}",
        Fixed="/a",
        Two="/a/{y}",
    )
    assert table.match("GET", path, "", {}) == found
    assert table.match("POST", path, "", {}) is None


def test_constant_parameters_must_be_there() -> None:
    table = routes(Plain="/p", Import="/p?mode=import", Only="/q?only")
    assert table.match("GET", "/p", "mode=import", {}) == ("Import", {})
    assert table.match("GET", "/p", "mode=other", {}) == ("Plain", {})
    assert table.match("GET", "/p", "", {}) == ("Plain", {})
    assert table.match("GET", "/q", "only=", {}) == ("Only", {})
    assert table.match("GET", "/q", "", {}) is None
