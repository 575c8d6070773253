"""`make bench`: Lambent beside MiniStack, in one interleaved run.

    .venv/bin/python -m bench [--only NAME]... [--rounds 3] [--seconds 5] [--no-peer]

Prints a line of JSON per measurement as it is made, then a table of medians with ratios (above 1:
Lambent is better). On a shared machine trust the ratios and the CPU per request (`server` is the
server's own process, `tree` it and all its children, the functions included). Ends with status 1
when any request was answered with an error.
"""

import argparse
import contextlib
import json
import statistics
import sys

from bench.peers import Lambent, MiniStack, Peer, PeerError
from bench.scenarios import SCENARIOS, Result, Scenario, rounds

COLUMNS = ("p50_ms", "p99_ms", "server_cpu_us", "tree_cpu_us")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.split("\n")[0])
    names = [scenario.name for scenario in SCENARIOS]
    parser.add_argument("--only", action="append", choices=names, help="may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of load, each round")
    parser.add_argument("--no-peer", action="store_true", help="measure Lambent alone")
    return parser.parse_args()


def started(stack: contextlib.ExitStack, with_peer: bool) -> list[Peer]:
    """The servers, running. A peer that cannot be had is said, and the run goes on without it."""
    peers: list[Peer] = [stack.enter_context(Lambent())]
    if with_peer:
        try:
            MiniStack.install()
            peers.append(stack.enter_context(MiniStack()))
        except PeerError as error:
            print(f"without MiniStack: {error}", file=sys.stderr)
    return peers


def table(results: list[Result]) -> None:
    """Medians per scenario and number of connections, and how the peers compare."""
    row = "{:<13}{:>5}  {:<10}{:>10}{:>10}{:>10}{:>9}{:>9}{:>8}{:>8}".format
    titles = ("figure", "p50 ms", "p99 ms", "server", "tree", "ratio", "errors")
    print("\n" + row("scenario", "conn", "peer", *titles))
    for scenario in SCENARIOS:
        for connections in (1, 16):
            by_peer: dict[str, list[Result]] = {}
            for result in results:
                if (result["scenario"], result["connections"]) == (scenario.name, connections):
                    by_peer.setdefault(result["peer"], []).append(result)
            for peer, rows in by_peer.items():
                ratio = _ratio(scenario, rows, by_peer) if peer == "lambent" else ""
                cells = [_shown(_median(rows, name)) for name in COLUMNS]
                figure = f"{_shown(_median(rows, scenario.figure))} {scenario.unit}"
                errors = _errors(rows) or ""
                print(row(scenario.name, connections, peer, figure, *cells, ratio, errors))


def _ratio(scenario: Scenario, rows: list[Result], by_peer: dict[str, list[Result]]) -> str:
    ours = _median(rows, scenario.figure)
    theirs = _median(by_peer.get("ministack", []), scenario.figure)
    if not ours or not theirs:
        return ""
    return f"{ours / theirs if scenario.more_is_better else theirs / ours:.2f}x"


def _median(rows: list[Result], name: str) -> float | None:
    values = [row[name] for row in rows if name in row]
    return statistics.median(values) if values else None


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _errors(rows: list[Result]) -> int:
    return sum(sum(row.get("errors", {}).values()) for row in rows)


def main() -> int:
    chosen = options()
    results: list[Result] = []
    with contextlib.ExitStack() as stack:
        peers = started(stack, with_peer=not chosen.no_peer)
        for scenario in SCENARIOS:
            if not chosen.only or scenario.name in chosen.only:
                for result in rounds(scenario, peers, chosen.rounds, chosen.seconds):
                    print(json.dumps(result), flush=True)
                    results.append(result)
    table(results)
    if failed := _errors(results):
        print(f"{failed} requests were answered with errors", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
