"""The structure of this tree as a table, beside the anchors and peers: `make scorecard`."""

import subprocess
import sys
from pathlib import Path
from statistics import median, quantiles

from lambent.services import SERVICES
from tests.tidy.tree import import_graph, is_typed, largest_cycle, length, modules

FILE_LINES_MAX = 600

ANCHORS = (
    # name, files, lines, file median/p90/max, >1k, function median/p95/max, typed, broad, lazy,
    # cycle, documentation lines per 100
    ("kopf", "85", "17,485", "149/512/968", "0%", "9/60/223", "99%", "6%", "0", "0", "27.1"),
    ("starlette", "34", "6,712", "145/548/876", "0%", "5/39/149", "97%", "13%", "0", "0", "8.8"),
    ("import-linter", "40", "3,994", "58/284/498", "0%", "9/38/107", "92%", "16%", "1", "0", "18.5"),  # noqa: E501
    ("moto", "1,452", "260,913", "40/437/6036", "38%", "7/38/341", "86%", "18%", "231", "273", "5.3"),  # noqa: E501
    ("localstack", "1,153", "212,223", "51/362/25667", "38%", "9/53/504", "56%", "39%", "300", "81", "11.7"),  # noqa: E501
    ("ministack", "108", "153,023", "798/3712/7785", "82%", "12/61/618", "18%", "46%", "250", "19", "11.9"),  # noqa: E501
)  # fmt: skip
HEADINGS = (
    "tree", "files", "lines", "file med/p90/max", ">1k", "fn med/p95/max", "typed", "broad",
    "lazy", "cycle", "doc/100",
)  # fmt: skip


def percentile(values: list[int], of_100: int) -> int:
    """The value below which `of_100` of 100 lie."""
    return round(quantiles(values, n=100, method="inclusive")[of_100 - 1])


def ours() -> tuple[str, ...]:
    """Our row of the table."""
    sizes = [module.lines for module in modules()]
    functions = [function for module in modules() for function in module.functions]
    lengths = [length(function) for function in functions]
    handlers = sum(len(module.handlers) for module in modules())
    broad = sum(len(module.broad_handlers) for module in modules())
    typed = sum(map(is_typed, functions))
    documentation = sum(module.documentation_lines() for module in modules())
    return (
        "lambent",
        f"{len(sizes):,}",
        f"{sum(sizes):,}",
        f"{median(sizes):.0f}/{percentile(sizes, 90)}/{max(sizes)}",
        f"{_share(sum(size for size in sizes if size > 1000), sum(sizes))}",
        f"{median(lengths):.0f}/{percentile(lengths, 95)}/{max(lengths)}",
        _share(typed, len(functions)),
        _share(broad, handlers),
        str(sum(len(module.lazy_imports()) for module in modules())),
        str(largest_cycle()),
        f"{100 * documentation / sum(sizes):.1f}",
    )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f}%"


def served_operations() -> int:
    """Operations that are served, of all services."""
    return sum(word == "served" for service in SERVICES for word in service.support().values())


def facts() -> list[tuple[str, str]]:
    """What the anchors have no column for."""
    over = sum(module.lines for module in modules() if module.lines > FILE_LINES_MAX)
    total = sum(module.lines for module in modules())
    services = sum(module.lines for module in modules() if "/services/" in module.name)
    kernel = sum(module.lines for module in modules() if "/kernel/" in module.name)
    wire = sum(module.lines for module in modules() if "/wire/" in module.name)
    served = served_operations()
    edges = sum(map(len, import_graph().values()))
    return [
        (f"lines in files over {FILE_LINES_MAX}", _share(over, total)),
        ("operations served", str(served)),
        ("lines per served operation", f"{total / served:.0f}"),
        ("lines of services per served operation", f"{services / served:.0f}"),
        ("kernel lines (cap 3,000)", f"{kernel:,}"),
        ("wire lines (budget 4,000)", f"{wire:,}"),
        ("imports inside the package", str(edges)),
        ("import contracts", contracts()),
    ]  # fmt: skip


def contracts() -> str:
    """What import-linter says in the end."""
    program = Path(sys.executable).with_name("lint-imports")
    if not program.exists():
        return "import-linter is not installed"
    ran = subprocess.run([program], capture_output=True, text=True, check=False)
    said = [line for line in ran.stdout.splitlines() if line.startswith("Contracts:")]
    return said[0].removeprefix("Contracts: ") if said else "not checked"


def main() -> None:
    """Print the table."""
    rows = [HEADINGS, ours(), *ANCHORS]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    for row in rows:
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        )
    print()
    for name, value in facts():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
