"""The gateway as a whole: one address for control, bucket hosts for objects, an answer for all."""

import http.client
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers import ThreadServer


def _ask(server: ThreadServer, method: str, path: str, **options: Any) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.request(method, path, **options)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_an_object_at_its_buckets_host(server: ThreadServer) -> None:
    s3 = server.client("s3")
    s3.create_bucket(Bucket="hosted")
    s3.put_object(Bucket="hosted", Key="_lambent/health", Body=b"an object")
    host = {"Host": f"hosted.s3.localhost:{urlsplit(server.url).port}"}
    assert _ask(server, "GET", "/_lambent/health", headers=host) == (200, b"an object")
    status, body = _ask(server, "GET", "/_lambent/health")
    assert status == 200
    assert b'"ready"' in body


def test_a_signature_over_a_buckets_host(enforcing_server: ThreadServer) -> None:
    """The path that was signed is the one that came, not the one that it was turned into."""
    server = enforcing_server
    server.client("s3").create_bucket(Bucket="hosted")
    at = f"hosted.s3.localhost:{urlsplit(server.url).port}"
    credentials = Credentials(server.root.access_key, server.root.secret)
    for method, data, status in (("PUT", b"x", 200), ("GET", None, 200), ("DELETE", None, 204)):
        request = AWSRequest(method, f"http://{at}/a%20b", data=data)
        S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
        headers = dict(request.headers) | {"Host": at}
        assert _ask(server, method, "/a%20b", headers=headers, body=data)[0] == status


def test_a_body_that_is_not_the_one_that_was_signed(enforcing_server: ThreadServer) -> None:
    server = enforcing_server
    server.client("s3").create_bucket(Bucket="signed")
    credentials = Credentials(server.root.access_key, server.root.secret)
    request = AWSRequest("PUT", f"{server.url}/signed/k", data=b"signed")
    S3SigV4Auth(credentials, "s3", "us-east-1").add_auth(request)
    status, body = _ask(server, "PUT", "/signed/k", headers=dict(request.headers), body=b"forged")
    assert (status, b"XAmzContentSHA256Mismatch" in body) == (400, True)
    status, _ = _ask(server, "PUT", "/signed/k", headers=dict(request.headers), body=b"signed")
    assert status == 200


def test_what_is_not_served_speaks_the_protocol_of_the_question(server: ThreadServer) -> None:
    target = {"X-Amz-Target": "Nobody_1.Do", "Content-Type": "application/x-amz-json-1.0"}
    status, body = _ask(server, "POST", "/", body=b"{}", headers=target)
    assert status == 501
    assert b'"__type"' in body
    smithy = {"Smithy-Protocol": "rpc-v2-cbor", "Content-Type": "application/cbor"}
    status, body = _ask(server, "POST", "/service/X/operation/Y", body=b"\xa0", headers=smithy)
    assert status == 501
    assert b"__type" in body
    assert body[0] >> 5 == 5  # a CBOR map


def test_a_signature_that_is_none(server: ThreadServer) -> None:
    for header in ("AWS4-HMAC-SHA256 Credential=a/b", "Bearer x", "AWS4-HMAC-SHA256", ""):
        status, _ = _ask(server, "GET", "/?list-type=2", headers={"Authorization": header})
        assert 200 <= status < 500
