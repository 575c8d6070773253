"""`lambent`: the command line's table of contents."""

import argparse
import sys

from lambent import __version__
from lambent.base.clock import monotonic
from lambent.base.config import OPTIONS, load
from lambent.base.errors import StartupError
from lambent.cli import serve

_BEGAN_S = monotonic()


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="lambent", description="AWS Lambda, and the services around it, on this machine."
    )
    root.add_argument("--version", action="version", version=f"lambent {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    add_serve(verbs.add_parser("serve", help="start the server"))
    return root


def add_serve(verb: argparse.ArgumentParser) -> None:
    """`lambent serve`: every option of `base.config`."""
    for option in OPTIONS:
        default = option.default or "$XDG_DATA_HOME/lambent"
        verb.add_argument(
            f"--{option.name}",
            choices=option.choices or None,
            help=f"{option.help} [{default}; also {option.variable}]",
        )
    verb.set_defaults(run=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    flags = {option.name: getattr(arguments, option.name.replace("-", "_")) for option in OPTIONS}
    return serve.run(load(flags), _BEGAN_S)


def main(argv: list[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    arguments = parser().parse_args(argv)
    try:
        status: int = arguments.run(arguments)
    except StartupError as error:
        print(f"lambent: {error}", file=sys.stderr)
        return 1
    return status
