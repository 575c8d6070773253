"""What S3's tests share: a client, a bucket of one's own, errors as answers."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.recordings import Recording
from tests.servers import ThreadServer

_LOOSE = frozenset({"owner-id", "bucket", "<owner-id>", "i-d"})


@pytest.fixture
def s3(server: ThreadServer) -> Any:
    """A client that sends CRC32 unasked, as boto3 does."""
    return server.client("s3")


@pytest.fixture
def plain_s3(server: ThreadServer) -> Any:
    """A client that sends the checksums it is asked for, and no other."""
    return server.client("s3", request_checksum_calculation="when_required")


@pytest.fixture
def bucket(s3: Any, request: pytest.FixtureRequest) -> str:
    """A fresh bucket, named for the test."""
    name = f"test-{hashlib.md5(request.node.nodeid.encode()).hexdigest()}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def recording() -> Iterator[Callable[..., Recording]]:
    """`recording("s3", "TestS3::test_x")`; all of its responses must be compared."""
    opened: list[Recording] = []

    def take(file: str, scenario: str) -> Recording:
        opened.append(Recording(f"s3/{file}.json", scenario, loose=_LOOSE))
        return opened[-1]

    yield take
    for one in opened:
        one.done()


@pytest.fixture
def error() -> Callable[..., dict[str, Any]]:
    """`error(s3.get_object, Bucket=...)`: the answer to a call that must fail."""

    def failed(call: Callable[..., Any], **params: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as caught:
            call(**params)
        return dict(caught.value.response)

    return failed
