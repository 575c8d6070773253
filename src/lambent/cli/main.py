"""`lambent`: the command line's table of contents.

A verb's module is imported when the verb is used, by its name in `VERBS`: the one place in the
tree that imports dynamically, because `lambent serve` must be ready in a quarter of a second and
needs none of the others. Each verb's module has `add_arguments(parser)` and `run(arguments)`, which
returns the exit status: 0, 1 for a failure that is explained on stderr, 2 for wrong usage.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from types import ModuleType

from lambent import __version__
from lambent.base.errors import AwsError, StartupError
from lambent.cli.errors import CommandError

_BEGAN_S = monotonic()
INTERRUPTED = 130
"""Exit status after Ctrl-C, as shells count it: 128 + SIGINT."""


@dataclass(frozen=True, slots=True)
class Verb:
    """One subcommand: what it does, and the module that does it."""

    help: str
    module: str


VERBS = {
    "serve": Verb("start the server", "lambent.cli.serve"),
    "doctor": Verb("tell what this machine can do", "lambent.cli.doctor"),
    "deploy": Verb("create or update a function from a folder or a file", "lambent.cli.deploy"),
    "invoke": Verb("invoke a function and print its result", "lambent.cli.invoke"),
    "logs": Verb("print what a function logged", "lambent.cli.logs"),
    "cost": Verb("tell what invocations would cost on AWS", "lambent.cli.cost"),
    "tune": Verb("plot a function's time and cost by memory size", "lambent.cli.tune"),
    "clock": Verb("show or move the platform's clock", "lambent.cli.clock"),
    "reset": Verb("drop all state of a server", "lambent.cli.reset"),
}
NOT_YET = ("dev", "traces")
"""Verbs that are promised and not built; they say so instead of being unknown."""


def parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """The command line; only the verb that `argv` names has its arguments filled in."""
    root = argparse.ArgumentParser(
        prog="lambent",
        description="AWS Lambda, and the serverless services around it, on this machine.",
        epilog="`lambent VERB --help` tells more about a verb.",
    )
    root.add_argument("--version", action="version", version=f"lambent {__version__}")
    verbs = root.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, verb in VERBS.items():
        one = verbs.add_parser(name, help=verb.help, description=f"{verb.help.capitalize()}.")
        if name in argv:
            _module(name).add_arguments(one)
    return root


def _module(name: str) -> ModuleType:
    return importlib.import_module(VERBS[name].module)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit status."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in NOT_YET:
        print(f"lambent: not yet: `lambent {words[0]}` is planned and not built", file=sys.stderr)
        return 2
    try:
        arguments = parser(words).parse_args(words, argparse.Namespace(began_s=_BEGAN_S))
        status: int = _module(arguments.verb).run(arguments)
        sys.stdout.flush()
    except (CommandError, StartupError) as error:
        print(f"lambent: {error}", file=sys.stderr)
        return error.status if isinstance(error, CommandError) else 1
    except AwsError as error:
        print(f"lambent: {error.code}: {error.message}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough. Stdout is pointed away, because Python would
        # complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
