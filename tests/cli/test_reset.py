"""`lambent reset`: it asks, and drops what is named and nothing else."""

import os
import pty
import subprocess
from collections.abc import Callable

import pytest

from tests.cli.commands import LAMBENT, environment, lambent
from tests.servers import ThreadServer


def test_reset_asks_first(server: ThreadServer) -> None:
    server.client("s3").create_bucket(Bucket="kept")
    refused = lambent("reset", server=server)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert [one["Name"] for one in server.client("s3").list_buckets()["Buckets"]] == ["kept"]


@pytest.mark.parametrize(("answer", "status"), [("n\n", 1), ("\n", 1), ("y\n", 0)])
def test_a_person_may_answer(server: ThreadServer, answer: str, status: int) -> None:
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        result = subprocess.run(
            [*LAMBENT, "reset", "--service", "logs"],
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
            env=environment({"AWS_ENDPOINT_URL": server.url}),
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert result.returncode == status
    assert result.stderr.startswith("drop all state (service logs) of http://127.0.0.1")


def test_reset_drops_what_is_named(server_factory: Callable[..., ThreadServer]) -> None:
    server = server_factory()
    for region in ("us-east-1", "eu-west-1"):
        server.client("logs", region=region).create_log_group(logGroupName="group")
    server.client("s3").create_bucket(Bucket="bucket")
    assert lambent("reset", "--yes", "--region", "eu-west-1", server=server).returncode == 0

    def left() -> list[int]:
        groups = [
            len(server.client("logs", region=region).describe_log_groups()["logGroups"])
            for region in ("us-east-1", "eu-west-1")
        ]
        return [*groups, len(server.client("s3").list_buckets()["Buckets"])]

    assert left() == [1, 0, 1]
    assert lambent("reset", "--yes", "--service", "logs", server=server).returncode == 0
    assert left() == [0, 0, 1]
    unknown = lambent("reset", "--yes", "--service", "braket", server=server)
    assert unknown.returncode == 1
    assert "braket" in unknown.stderr
    assert lambent("reset", "--yes", server=server).stderr == f"reset {server.url}: everything\n"
    assert left() == [0, 0, 0]
