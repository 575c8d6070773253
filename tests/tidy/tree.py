"""The source tree as facts: modules, functions, handlers and imports, read with `ast` once."""

import ast
import io
import subprocess
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file."""

    path: Path

    @property
    def name(self) -> str:
        """Relative to the root."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def dotted(self) -> str:
        """As it is imported."""
        parts = self.path.relative_to(SOURCE).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def text(self) -> str:
        """Its source."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """Physical lines."""
        return len(self.text.splitlines())

    @cached_property
    def functions(self) -> list[Function]:
        """All of them, methods and inner ones included."""
        return [node for node in ast.walk(self.tree) if isinstance(node, Function)]

    @property
    def handlers(self) -> list[ast.ExceptHandler]:
        """All `except` clauses."""
        return [node for node in ast.walk(self.tree) if isinstance(node, ast.ExceptHandler)]

    @property
    def broad_handlers(self) -> list[ast.ExceptHandler]:
        """Those that catch everything and do not raise it again."""
        return [node for node in self.handlers if _is_broad(node) and not _raises_again(node)]

    def lazy_imports(self) -> list[int]:
        """Lines of imports of our own package inside functions."""
        return [
            node.lineno
            for function in self.functions
            for node in ast.walk(function)
            if isinstance(node, ast.Import | ast.ImportFrom) and _ours(node)
        ]

    def imports(self, known: set[str]) -> set[str]:
        """Which of the modules `known` it imports when it runs, those in functions included."""
        typing_only = {
            id(inner)
            for node in ast.walk(self.tree)
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
            for inner in ast.walk(node)
        }
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if id(node) in typing_only:
                continue
            if isinstance(node, ast.ImportFrom) and node.module:
                whole = [f"{node.module}.{one.name}" for one in node.names]
                found |= {name if name in known else node.module for name in whole}
            elif isinstance(node, ast.Import):
                found |= {one.name for one in node.names}
        return (found & known) - {self.dotted}

    def documentation_lines(self) -> int:
        """Lines of docstrings and comments."""
        count = sum(
            node.body[0].end_lineno - node.body[0].lineno + 1  # type: ignore[operator]
            for node in ast.walk(self.tree)
            if isinstance(node, Function | ast.ClassDef | ast.Module)
            and ast.get_docstring(node, clean=False) is not None
        )
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return count + len({one.start[0] for one in tokens if one.type == tokenize.COMMENT})


def _is_broad(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    return isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")


def _raises_again(handler: ast.ExceptHandler) -> bool:
    return any(isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler))


def _ours(node: ast.Import | ast.ImportFrom) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.level > 0 or (node.module or "").split(".")[0] == "lambent"
    return any(one.name.split(".")[0] == "lambent" for one in node.names)


def length(function: Function) -> int:
    """Its lines, decorators apart."""
    assert function.end_lineno is not None
    return function.end_lineno - function.lineno + 1


def is_typed(function: Function) -> bool:
    """Whether its result and all its parameters are annotated."""
    spec = function.args
    parameters = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs]
    named = [one for one in parameters if one.arg not in ("self", "cls")]
    made_by_class = function.name == "__init__"
    return all(one.annotation for one in named) and (bool(function.returns) or made_by_class)


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    return tuple(Module(path) for path in sorted((SOURCE / "lambent").rglob("*.py")))


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that git tracks and that is here; without git, every file outside dot folders."""
    try:
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
        paths = [ROOT / name for name in names if name]
    except (OSError, subprocess.CalledProcessError):
        hidden = (path for path in ROOT.rglob("*") if path.is_file())
        paths = [p for p in hidden if not any(q.startswith(".") for q in p.relative_to(ROOT).parts)]
    return tuple(path for path in paths if path.is_file())


def import_graph() -> dict[str, set[str]]:
    """Module to the modules of ours that it imports."""
    names = {module.dotted for module in modules()}
    return {module.dotted: module.imports(names) for module in modules()}


def largest_cycle() -> int:
    """Modules in the largest strongly connected part of the import graph; 0 without a cycle."""
    return max(map(len, cycles()), default=0)


def cycles() -> list[set[str]]:
    """The parts of the import graph that hang together in a cycle."""
    return [part for part in _components(import_graph()) if len(part) > 1]


def _components(graph: dict[str, set[str]]) -> Iterator[set[str]]:
    """Strongly connected components: Kosaraju, without recursion."""
    order: list[str] = []
    seen: set[str] = set()
    for root, first in graph.items():
        stack = [(root, iter(first))] if root not in seen else []
        seen.add(root)
        while stack:
            node, children = stack[-1]
            for child in children:
                if child not in seen:
                    seen.add(child)
                    stack.append((child, iter(graph[child])))
                    break
            else:
                order.append(node)
                stack.pop()
    backward: dict[str, set[str]] = {name: set() for name in graph}
    for name, targets in graph.items():
        for target in targets:
            backward[target].add(name)
    left = set(graph)
    for root in reversed(order):
        part, todo = set(), [root]
        while todo:
            node = todo.pop()
            if node in left:
                left.discard(node)
                part.add(node)
                todo += backward[node]
        if part:
            yield part
