"""`lambent logs`: what a function wrote to its log group, once or as it comes.

Time is the server's own (its clock may be virtual). When following, each look goes back
`OVERLAP_MS`, because events of several environments do not arrive in the order of their times;
what has been printed is remembered for that long.
"""

import argparse
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from lambent.base.clock import RealClock
from lambent.base.durations import duration_s
from lambent.base.errors import AwsError
from lambent.cli import client
from lambent.cli.client import Client
from lambent.cli.errors import CommandError
from lambent.cli.terminal import DIM, styled

GROUP = "/aws/lambda/{name}"
FILTER = "Logs_20140328.FilterLogEvents"
OVERLAP_MS = 10_000
PAUSE_S = 0.5
HTTP_OK = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """NAME, how far back, and whether to go on."""
    parser.add_argument("name", metavar="NAME", help="function name")
    parser.add_argument("--follow", action="store_true", help="go on until Ctrl-C")
    parser.add_argument("--since", default="10m", metavar="AGE", help="such as 90s, 10m, 2h [10m]")
    client.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print events, oldest first. Returns the exit status."""
    try:
        since_ms = int(duration_s(arguments.since) * 1000)
    except ValueError as error:
        raise CommandError(f"--since: {error}", 2) from error
    server = Client.chosen(arguments)
    tail = Tail(server, GROUP.format(name=arguments.name), _now_ms(server) - since_ms)
    while True:
        try:
            for event in tail.new_events():
                _print(event)
        except AwsError as error:
            if error.code != "ResourceNotFoundException":
                raise
            if not arguments.follow:
                raise CommandError(
                    f"{error.code}: there is no log of {arguments.name} yet: "
                    "it is made by the first invocation"
                ) from error
        sys.stdout.flush()
        if not arguments.follow:
            return 0
        client.pause(PAUSE_S)


class Tail:
    """The events of one log group from a time on, each once."""

    def __init__(self, server: Client, group: str, start_ms: int) -> None:
        self._server = server
        self._group = group
        self._start_ms = max(0, start_ms)
        self._seen: dict[str, int] = {}
        """Ids of printed events that the next look may find again, with their times."""

    def new_events(self) -> Iterator[dict[str, Any]]:
        """What has come since the last look."""
        for event in self._events():
            if event["eventId"] not in self._seen:
                self._seen[event["eventId"]] = event["timestamp"]
                yield event
        newest_ms = max(self._seen.values(), default=self._start_ms)
        self._start_ms = max(self._start_ms, newest_ms - OVERLAP_MS)
        self._seen = {
            id: time_ms for id, time_ms in self._seen.items() if time_ms >= self._start_ms
        }

    def _events(self) -> Iterator[dict[str, Any]]:
        params = {"logGroupName": self._group, "startTime": self._start_ms}
        while True:
            page = self._server.operation("logs", FILTER, params)
            yield from page.get("events", [])
            if not page.get("nextToken"):
                return
            params["nextToken"] = page["nextToken"]


def _print(event: dict[str, Any]) -> None:
    when = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    text = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    message = str(event["message"]).rstrip("\n")
    print(f"{styled(text, DIM, sys.stdout)} {message}")


def _now_ms(server: Client) -> int:
    """The server's time; this machine's where the server has no clock address (AWS itself)."""
    answer = server.control("GET", "clock")
    if answer.status != HTTP_OK:
        return int(RealClock().now() * 1000)
    return int(datetime.fromisoformat(answer.json()["now"]).timestamp() * 1000)
