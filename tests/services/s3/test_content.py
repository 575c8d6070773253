"""Bodies as they travel: aws-chunked with trailers, broken off, large in little memory."""

import base64
import http.client
import socket
import zlib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.servers import LambentProcess, ThreadServer


def put(server: ThreadServer, path: str, body: bytes, **headers: str) -> tuple[int, bytes]:
    """A raw PUT; underscores in header names are hyphens."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("PUT", path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def chunked(data: bytes, size: int, *trailers: str) -> bytes:
    out = b""
    for at in range(0, len(data), size):
        piece = data[at : at + size]
        out += b"%x\r\n%s\r\n" % (len(piece), piece)
    return out + b"0\r\n" + b"".join(line.encode() + b"\r\n" for line in trailers) + b"\r\n"


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def streaming(data: bytes, **more: str) -> dict[str, str]:
    return {
        "x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "content_encoding": "aws-chunked",
        "x_amz_decoded_content_length": str(len(data)),
        **more,
    }


@pytest.mark.parametrize("size", [10, 300_000])
@pytest.mark.parametrize("named", [True, False])
def test_trailers(server: ThreadServer, s3: Any, bucket: str, size: int, named: bool) -> None:
    data = b"0123456789" * (size // 10)
    headers = streaming(data, x_amz_trailer="x-amz-checksum-crc32")
    if named:
        headers["x_amz_sdk_checksum_algorithm"] = "CRC32"
    good = chunked(data, 65_536, f"x-amz-checksum-crc32:{crc32(data)}")
    assert put(server, f"/{bucket}/good", good, **headers)[0] == 200
    answer = s3.get_object(Bucket=bucket, Key="good", ChecksumMode="ENABLED")
    assert answer["Body"].read() == data
    assert answer["ChecksumCRC32"] == crc32(data)
    assert "ContentEncoding" not in answer
    bad = chunked(data, 65_536, f"x-amz-checksum-crc32:{crc32(b'other')}")
    status, text = put(server, f"/{bucket}/bad", bad, **headers)
    assert status == 400
    assert b"<Code>BadDigest</Code>" in text
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["good"]


def test_a_trailer_that_does_not_come(server: ThreadServer, bucket: str) -> None:
    headers = streaming(b"data", x_amz_sdk_checksum_algorithm="CRC32")
    status, text = put(server, f"/{bucket}/k", chunked(b"data", 4), **headers)
    assert status == 400
    assert b"no corresponding x-amz-checksum-*" in text


def test_other_encodings_stay(server: ThreadServer, s3: Any, bucket: str) -> None:
    headers = streaming(b"data", content_encoding="aws-chunked,gzip")
    assert put(server, f"/{bucket}/k", chunked(b"data", 4), **headers)[0] == 200
    assert s3.head_object(Bucket=bucket, Key="k")["ContentEncoding"] == "gzip"


def test_a_body_without_length(server: ThreadServer, bucket: str) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as raw:
        raw.sendall(
            f"PUT /{bucket}/k HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
            "4\r\ndata\r\n0\r\n\r\n".encode()
        )
        assert raw.recv(4096).startswith(b"HTTP/1.1 411 ")


@pytest.mark.parametrize("size", [100, 1_000_000])
def test_a_body_that_breaks_off(server: ThreadServer, s3: Any, bucket: str, size: int) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as raw:
        raw.sendall(
            f"PUT /{bucket}/k HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
            + b"x" * (size // 2)
        )
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(4096):
            pass
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_reader_that_goes_away(server: ThreadServer, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=bytes(20_000_000))
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname, address.port or 0), timeout=5) as raw:
        raw.sendall(f"GET /{bucket}/k HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert raw.recv(4096).startswith(b"HTTP/1.1 200 ")
    assert len(s3.get_object(Bucket=bucket, Key="k")["Body"].read()) == 20_000_000


def resident_kib(process: LambentProcess) -> int:
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1])
    raise AssertionError("no VmHWM")


def test_large_objects_in_little_memory(lambent_process: Any) -> None:
    """The peak of the server's memory rises by far less than the object's size."""
    process = lambent_process()
    s3 = process.client("s3", request_checksum_calculation="when_required")
    s3.create_bucket(Bucket="large")
    s3.put_object(Bucket="large", Key="warm", Body=bytes(200_000))
    assert len(s3.get_object(Bucket="large", Key="warm")["Body"].read()) == 200_000
    before_kib = resident_kib(process)
    piece = bytes(range(256)) * 4096
    size = 256 * len(piece)

    class Pieces:
        """256 MiB that are never in memory at once."""

        def __init__(self) -> None:
            self.at = 0

        def read(self, wanted: int = -1) -> bytes:
            taken = min(size - self.at, len(piece) if wanted < 0 else wanted)
            start, self.at = self.at % len(piece), self.at + taken
            return (piece + piece)[start : start + taken]

        def tell(self) -> int:
            return self.at

        def seek(self, at: int, whence: int = 0) -> None:
            self.at = size + at if whence == 2 else at

    s3.put_object(Bucket="large", Key="k", Body=Pieces(), ContentLength=size)
    got = 0
    for chunk in s3.get_object(Bucket="large", Key="k")["Body"].iter_chunks(1 << 20):
        got += len(chunk)
    assert got == size
    assert resident_kib(process) - before_kib < 50 * 1024


def test_content_survives_a_kill(lambent_process: Any) -> None:
    process = lambent_process()
    s3 = process.client("s3")
    s3.create_bucket(Bucket="durable")
    bodies = {
        f"k{n}": bytes([n]) * size for n, size in enumerate((0, 1, 1024, 65_536, 65_537, 3_000_000))
    }
    for key, body in bodies.items():
        s3.put_object(Bucket="durable", Key=key, Body=body)
    process.kill()
    process.restart()
    s3 = process.client("s3")
    for key, body in bodies.items():
        assert s3.get_object(Bucket="durable", Key=key)["Body"].read() == body
