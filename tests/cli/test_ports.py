"""Why a port cannot be had, and who has it."""

import errno
import os
from pathlib import Path

import pytest

from lambent.cli.ports import explain_taken


def refused(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def test_the_holder_of_a_port_is_named(taken_port: int) -> None:
    name = Path("/proc/self/comm").read_text().strip()
    text = explain_taken("127.0.0.1", taken_port, refused(errno.EADDRINUSE))
    assert text == (
        f"port {taken_port} is already taken by process {os.getpid()} ({name}): "
        "stop it, or choose another with --port"
    )


def test_a_holder_that_cannot_be_seen_is_left_out(unused_port: int) -> None:
    text = explain_taken("127.0.0.1", unused_port, refused(errno.EADDRINUSE))
    assert text.startswith(f"port {unused_port} is already taken: stop it")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EACCES, "port 80 needs privileges"),
        (errno.EADDRNOTAVAIL, "cannot listen on 10.9.8.7:80: Cannot assign requested address"),
    ],
)
def test_other_reasons_are_told(number: int, says: str) -> None:
    assert says in explain_taken("10.9.8.7", 80, refused(number))
