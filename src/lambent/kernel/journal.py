"""Where invocations leave their log lines: a seam that the service which keeps logs fills.

Writing never waits and is acknowledged to nobody: lines join the next group commit. Reading them
back through that service's operations, on the same server, sees everything written before.
"""

from collections.abc import Sequence
from typing import Protocol

Line = tuple[int, str]
"""Milliseconds since the epoch (platform time), and the text with its newline."""


class Journal(Protocol):
    """Takes log lines. Group and stream come into being with their first line."""

    def write(
        self, account: str, region: str, group: str, stream: str, lines: Sequence[Line]
    ) -> None:
        """Keep `lines`, in order."""


class NoJournal:
    """For platforms without a service that keeps logs."""

    def write(
        self, account: str, region: str, group: str, stream: str, lines: Sequence[Line]
    ) -> None:
        """Drop them."""
