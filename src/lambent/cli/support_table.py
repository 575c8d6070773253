"""What is served, written down: docs/services/*.md and the table in README.md, from the registry.

`make docs` writes them; a test fails when they are stale. Every operation's name stands once in
quotes in its service's folder (a decorator or a declaration), which is how its file is found.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lambent.kernel.service import Operation, Service
from lambent.services import SERVICES

ROOT = Path(__file__).resolve().parents[3]
SERVICES_FOLDER = ROOT / "src" / "lambent" / "services"
TESTS_FOLDER = ROOT / "tests"
DOCS_FOLDER = ROOT / "docs" / "services"
README = ROOT / "README.md"
BEGIN, END = "<!-- support table: `make docs` writes it -->", "<!-- end of the support table -->"

TITLES = {
    "iam": "IAM",
    "lambda": "Lambda",
    "logs": "CloudWatch Logs",
    "s3": "S3",
    "sts": "STS",
}
"""How AWS writes a service's name."""


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: who serves it ("" if nobody does yet) and which tests name it."""

    operation: str
    served_by: str
    tests: tuple[str, ...]


def rows(service: Service) -> list[Row]:
    """Every operation of the service's model, in its order."""
    served = service.operations
    sources = _texts(_source_folder(service))
    tests = _texts(TESTS_FOLDER)
    return [
        Row(
            name,
            _served_by(name, served[name], sources) if name in served else "",
            tuple(_naming(service.name, name, tests)) if name in served else (),
        )
        for name in service.model.operation_names
    ]


def page(service: Service) -> str:
    """docs/services/<name>.md."""
    table = rows(service)
    served = [row for row in table if row.served_by]
    lines = [
        f"# {title(service)}",
        "",
        f"{len(served)} of {len(table)} operations are served; others answer 501 `NotImplemented`.",
        "Written by `make docs` from the registry; a running server tells the same at",
        "`GET /_lambent/support`.",
        "",
        "| operation | served by | tests |",
        "|---|---|---|",
    ]
    for row in served:
        tests = "<br>".join(f"[{Path(one).name}](../../{one})" for one in row.tests) or "none yet"
        lines.append(f"| {row.operation} | {row.served_by} | {tests} |")
    if len(served) < len(table):
        waiting = ", ".join(row.operation for row in table if not row.served_by)
        lines += ["", "## Not yet", "", waiting + "."]
    return "\n".join(lines) + "\n"


def summary() -> str:
    """The table in README.md."""
    lines = [BEGIN, "| service | served | of |", "|---|---|---|"]
    for service in SERVICES:
        table = rows(service)
        served = sum(1 for row in table if row.served_by)
        lines.append(
            f"| [{title(service)}](docs/services/{service.name}.md) | {served} | {len(table)} |"
        )
    return "\n".join([*lines, END])


def title(service: Service) -> str:
    """The service's name as AWS writes it."""
    return TITLES.get(service.name, service.name)


def outputs() -> Iterator[tuple[Path, str]]:
    """Every generated file and what must be in it."""
    for service in SERVICES:
        yield DOCS_FOLDER / f"{service.name}.md", page(service)
    readme = README.read_text(encoding="utf-8")
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    yield README, before + summary() + after


def _source_folder(service: Service) -> Path:
    """`lambda` is a word of Python's, so its folder is `lambda_`."""
    plain = SERVICES_FOLDER / service.name.replace("-", "_")
    return plain if plain.is_dir() else SERVICES_FOLDER / f"{service.name}_"


@cache
def _texts(folder: Path) -> Mapping[str, str]:
    """Python sources below `folder`, by their path from the root."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*.py"))
    }


def _served_by(name: str, operation: Operation, sources: Mapping[str, str]) -> str:
    """A verb by its function, a declaration by its trait; both with the file."""
    trait = getattr(operation, "__qualname__", "").partition(".")[0]
    function = inspect.unwrap(operation)
    own = Path(inspect.getsourcefile(function) or "")
    if own.is_relative_to(SERVICES_FOLDER):
        file = own.relative_to(ROOT).as_posix()
        return f"[{own.name}](../../{file}), `{getattr(function, '__name__', '?')}`"
    file = next((path for path, text in sources.items() if f'"{name}"' in text), "")
    link = f"[{Path(file).name}](../../{file})" if file else "generated"
    return f"{link}, trait {trait}"


def _naming(service: str, name: str, tests: Mapping[str, str]) -> Iterator[str]:
    """Tests that use the operation: the service's own, and those of the command line and clients.

    By its name, as a boto3 method or as an AWS CLI command.
    """
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
    used = re.compile(rf"\.{snake}\(" + (rf'|"{snake.replace("_", "-")}"' if "_" in snake else ""))
    named = re.compile(rf'"{name}"|\.{snake}\(|"{snake}"')
    own = f"tests/services/{service.replace('-', '_')}"
    for path, text in tests.items():
        if path.startswith((f"{own}/", f"{own}_/")):
            if named.search(text):
                yield path
        elif path.startswith(("tests/cli/", "tests/system/")) and used.search(text):
            yield path


def shown(path: Path) -> str:
    """A file as seen from the root."""
    return path.relative_to(ROOT).as_posix()


def main() -> int:
    """Write what has changed; say which."""
    DOCS_FOLDER.mkdir(parents=True, exist_ok=True)
    wanted = dict(outputs())
    for path in DOCS_FOLDER.glob("*.md"):
        if path not in wanted:
            path.unlink()
            print(f"removed {shown(path)}")
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"wrote {shown(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
