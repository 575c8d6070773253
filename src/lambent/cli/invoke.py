"""`lambent invoke`: one synchronous invocation; the result on stdout, its log on stderr."""

import argparse
import base64
import sys
from pathlib import Path
from urllib.parse import quote

from lambent.cli import client
from lambent.cli.client import FUNCTIONS, Client
from lambent.cli.errors import CommandError
from lambent.cli.terminal import DIM, RED, note, progress, styled


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """NAME, the event, and whether to show the log."""
    parser.add_argument("name", metavar="NAME", help="function name or ARN")
    parser.add_argument("--event", metavar="FILE|-", help="JSON file, or - for stdin [{}]")
    parser.add_argument("--qualifier", help="version or alias")
    parser.add_argument("--log", action="store_true", help="print the end of its log on stderr")
    client.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Invoke and print. Returns 1 if the function failed."""
    event = event_from(arguments.event)
    query = {"Qualifier": arguments.qualifier} if arguments.qualifier else {}
    with progress(f"waiting for {arguments.name}"):
        answer = Client.chosen(arguments).call(
            "lambda",
            "POST",
            f"{FUNCTIONS}/{quote(arguments.name, safe='')}/invocations",
            query=query,
            headers={"X-Amz-Log-Type": "Tail" if arguments.log else "None"},
            body=event,
        )
    if log := answer.headers.get("x-amz-log-result"):
        text = base64.b64decode(log).decode("utf-8", "replace").rstrip("\n")
        note(styled(text, DIM, sys.stderr))
    sys.stdout.buffer.write(answer.body + b"\n")
    sys.stdout.flush()
    if failure := answer.headers.get("x-amz-function-error"):
        note(styled(f"lambent: the function failed: {failure}", RED, sys.stderr))
        return 1
    return 0


def event_from(source: str | None) -> bytes:
    """The event that FILE, `-` or nothing names. Errors: CommandError."""
    if source is None:
        return b"{}"
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(source).read_bytes()
    except OSError as error:
        raise CommandError(f"cannot read {source}: {error.strerror}", 2) from error
