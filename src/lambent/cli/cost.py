"""`lambent cost`: what the invocations of a server would have cost on AWS, by function and day."""

import argparse
import json
from collections import defaultdict

from lambent.cli import client
from lambent.cli.client import Client


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to sum, and how to print it."""
    parser.add_argument("--function", metavar="NAME", help="of this function only")
    parser.add_argument("--by", choices=("day", "function"), help="sum by one of the two")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    client.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print a table of the default account and region's usage. Returns 0."""
    usage = Client.chosen(arguments).controlled("GET", "cost")["usage"]
    rows = [row for row in usage if arguments.function in (None, row["function"])]
    if arguments.by:
        rows = _summed(rows, arguments.by)
    total = {name: sum(row[name] for row in rows) for name in ("requests", "gbSeconds", "usd")}
    if arguments.json:
        print(json.dumps({"usage": rows, "total": total}))
        return 0
    line = "{:<12}{:<32}{:>10}{:>14}{:>16}{:>16}".format
    print(line("day", "function", "requests", "billed ms", "GB-seconds", "USD"))
    for row in rows:
        print(_line(row))
    print(line("total", "", total["requests"], "", f"{total['gbSeconds']:.6f}", _usd(total["usd"])))
    return 0


def _summed(rows: list[dict[str, object]], by: str) -> list[dict[str, object]]:
    groups: dict[str, list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        groups[str(row[by])].append(row)
    return [_sum(group, by) for _, group in sorted(groups.items())]


def _sum(group: list[dict[str, object]], by: str) -> dict[str, object]:
    other = "function" if by == "day" else "day"
    figures = ("requests", "billedMs", "gbSeconds", "usd")
    totals = {name: sum(float(str(row[name])) for row in group) for name in figures}
    whole = {name: int(totals[name]) for name in ("requests", "billedMs")}
    return {by: group[0][by], other: ""} | totals | whole


def _line(row: dict[str, object]) -> str:
    gb_s = f"{row['gbSeconds']:.6f}"
    return (
        f"{row['day']!s:<12}{row['function']!s:<32}{row['requests']!s:>10}"
        f"{row['billedMs']!s:>14}{gb_s:>16}{_usd(float(str(row['usd']))):>16}"
    )


def _usd(amount: float) -> str:
    return f"{amount:.9f}"
