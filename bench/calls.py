"""AWS calls as bytes: signed once, sent many times, to any endpoint that speaks AWS."""

import base64
import hashlib
import http.client
import io
import json
import time
import zipfile
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

ACCOUNT, REGION = "000000000000", "us-east-1"
_CREDENTIALS = Credentials(ACCOUNT, "bench-secret")


class CallFailed(Exception):  # noqa: N818 - what happened
    """A call that a measurement needs was answered with an error."""


class Calls:
    """The calls of the benchmark against the server on one local port."""

    def __init__(self, port: int) -> None:
        self.port = port

    def signed(
        self, service: str, method: str, path: str, body: bytes = b"", **headers: str
    ) -> bytes:
        """One request, whole."""
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        lines |= {"Host": f"127.0.0.1:{self.port}", "Content-Length": str(len(body))}
        lines["X-Amz-Content-Sha256"] = hashlib.sha256(body).hexdigest()
        request = AWSRequest(method, f"http://127.0.0.1:{self.port}{path}", lines, body)
        SigV4Auth(_CREDENTIALS, service, REGION).add_auth(request)
        head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def invoke(self, function: str) -> bytes:
        path = f"/2015-03-31/functions/{function}/invocations"
        return self.signed("lambda", "POST", path, b'{"key": "value"}')

    def create_function(self, function: str, source: str) -> bytes:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("app.py", source)
        body = {
            "FunctionName": function, "Runtime": "python3.12", "Handler": "app.handler",
            "Role": f"arn:aws:iam::{ACCOUNT}:role/bench", "Timeout": 30,
            "Code": {"ZipFile": base64.b64encode(packed.getvalue()).decode()},
        }  # fmt: skip
        return self.signed("lambda", "POST", "/2015-03-31/functions", json.dumps(body).encode())

    def get_function(self, function: str) -> bytes:
        return self.signed("lambda", "GET", f"/2015-03-31/functions/{function}")

    def create_bucket(self, bucket: str) -> bytes:
        return self.signed("s3", "PUT", f"/{bucket}")

    def put_object(self, bucket: str, key: str, data: bytes) -> bytes:
        return self.signed("s3", "PUT", f"/{bucket}/{key}", data)

    def get_object(self, bucket: str, key: str) -> bytes:
        return self.signed("s3", "GET", f"/{bucket}/{key}")

    def logs(self, operation: str, **members: Any) -> bytes:
        body = json.dumps(members).encode()
        kind = {"Content_Type": "application/x-amz-json-1.1"}
        target = f"Logs_20140328.{operation}"
        return self.signed("logs", "POST", "/", body, X_Amz_Target=target, **kind)

    def put_log_events(self, group: str, stream: str) -> bytes:
        now_ms = int(time.time() * 1000)
        events = [{"timestamp": now_ms, "message": f"line {n}: {'x' * 80}"} for n in range(10)]
        return self.logs("PutLogEvents", logGroupName=group, logStreamName=stream, logEvents=events)


def must(port: int, request: bytes) -> bytes:
    """Send one prepared request on a connection of its own: the body of its answer.

    Errors: CallFailed for any status but 2xx.
    """
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ")
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, body, dict(line.split(": ", 1) for line in lines))
        answer = connection.getresponse()
        data = answer.read()
    finally:
        connection.close()
    if not 200 <= answer.status < 300:
        raise CallFailed(f"{method} {path}: {answer.status} {data[:300]!r}")
    return data
