"""`lambent reset`: drop the state of a server, or of one account, region or service of it."""

import argparse
import sys

from lambent.cli import client
from lambent.cli.client import Client
from lambent.cli.errors import CommandError
from lambent.cli.terminal import note, progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to drop, and whether to ask first."""
    parser.add_argument("--service", help="only this service, such as lambda or s3")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    client.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask, drop, say so. Returns the exit status."""
    server = Client.chosen(arguments)
    scope = {
        name: value
        for name in ("account", "region", "service")
        if (value := getattr(arguments, name)) is not None
    }
    what = ", ".join(f"{name} {value}" for name, value in scope.items()) or "everything"
    if not arguments.yes:
        _confirm(f"drop all state ({what}) of {server.endpoint}?")
    with progress("resetting"):
        server.controlled("POST", "reset", scope)
    note(f"reset {server.endpoint}: {what}")
    return 0


def _confirm(question: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("reset asks first, and this is no terminal: add --yes", 2)
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was changed")
