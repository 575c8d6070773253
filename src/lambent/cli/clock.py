"""`lambent clock`: show the platform's clock, or move a virtual one."""

import argparse

from lambent.cli import client
from lambent.cli.client import Client
from lambent.cli.errors import CommandError
from lambent.cli.terminal import progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing, `advance DURATION` or `set TIME`."""
    parser.add_argument("order", nargs="?", choices=("advance", "set"), help="[show the time]")
    parser.add_argument(
        "value", nargs="?", help="a duration (90s, 15m, 1.5h, 2d) or a time (2030-01-01T00:00:00Z)"
    )
    client.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the time after what was asked for. Returns the exit status."""
    server = Client.chosen(arguments)
    if arguments.order is None:
        clock = server.controlled("GET", "clock")
    elif arguments.value is None:
        what = "a duration, such as 90s" if arguments.order == "advance" else "a time"
        raise CommandError(f"clock {arguments.order} needs {what}", 2)
    else:
        with progress("moving the clock"):
            clock = server.controlled("POST", "clock", {arguments.order: arguments.value})
    print(f"{clock['now']} ({'virtual' if clock['virtual'] else 'real'})")
    return 0
