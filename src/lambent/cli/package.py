"""A deployment package from what lies on disk: the zip, its handler and its runtime.

The zip is made in memory and depends on nothing but names, contents and x-bits (fixed times, sorted
entries), so that deploying the same files twice gives the same CodeSha256 and changes nothing.
"""

import ast
import io
import os
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lambent.base.config import environment
from lambent.cli.errors import CommandError
from lambent.sandbox.box import Interpreter
from lambent.sandbox.runtimes import Runtimes
from lambent.services.lambda_.configuration import CURRENT_RUNTIMES, NEWER_RUNTIMES

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can hold."""

LEFT_OUT_FOLDERS = frozenset({"__pycache__", ".git", ".hg", ".venv", ".mypy_cache", ".ruff_cache"})
LEFT_OUT_SUFFIXES = frozenset({".pyc", ".pyo"})
TEMPLATE_SUFFIXES = frozenset({".yaml", ".yml", ".json", ".template"})
JAVASCRIPT_SUFFIXES = (".mjs", ".js", ".cjs")

MODULES = ("lambda_function", "app", "index", "handler", "main", "function")
"""Names of the file that holds the handler, in the order in which they are believed."""
FUNCTIONS = ("handler", "lambda_handler", "lambdaHandler")

BOOTSTRAP = "bootstrap"
PROVIDED = "provided.al2023"
PYTHON_FALLBACK, NODE_FALLBACK = "python3.12", "nodejs22.x"
"""Where no interpreter of the language is found on this machine; the server may have one."""

_EXPORTED = (
    re.compile(r"\bexports\.(\w+)\s*="),
    re.compile(r"^\s*export\s+(?:const|let|var|async\s+function|function)\s+(\w+)", re.MULTILINE),
    re.compile(r"^\s*export\s*\{([^}]*)\}", re.MULTILINE),
    re.compile(r"\bmodule\.exports\s*=\s*\{([^}]*)\}"),
)


@dataclass(frozen=True, slots=True)
class Package:
    """What CreateFunction needs: `zipped` bytes and, unless they were named, how to start it."""

    name: str
    zipped: bytes
    files: int
    handler: str
    runtime: str


def build(path: Path, handler: str | None, runtime: str | None) -> Package:
    """The package of a folder or a file. Errors: CommandError that says what to name by a flag."""
    if not path.exists():
        raise CommandError(f"{path} does not exist")
    path = path.resolve()
    if path.is_dir():
        contents = dict(_folder(path))
    elif path.suffix == ".zip":
        contents = {}
    elif path.suffix in {".py", *JAVASCRIPT_SUFFIXES} or path.name == BOOTSTRAP:
        contents = {path.name: (path.read_bytes(), path.name == BOOTSTRAP)}
    elif path.suffix in TEMPLATE_SUFFIXES:
        raise CommandError(
            f"{path.name} looks like a template, and templates are not deployed yet: "
            "deploy the function's own folder",
            2,
        )
    else:
        raise CommandError(f"cannot deploy {path.name}: give a folder, a .zip, .py, .js or .mjs", 2)
    if path.suffix == ".zip" and path.is_file():
        zipped = path.read_bytes()
        sources = _zipped_sources(path, zipped)
    else:
        zipped = _zip(contents)
        sources = {name: data for name, (data, _) in contents.items()}
    if not sources:
        raise CommandError(f"{path} holds no files")
    handler = handler or infer_handler(path, sources)
    return Package(
        name=_function_name(path),
        zipped=zipped,
        files=len(sources),
        handler=handler,
        runtime=runtime or infer_runtime(handler, sources),
    )


def infer_handler(path: Path, sources: Mapping[str, bytes]) -> str:
    """`module.function` of the one source file that has a handler function, or `bootstrap`."""
    if BOOTSTRAP in sources:
        return BOOTSTRAP
    for name in _candidates(sources):
        stem, suffix = os.path.splitext(name)
        functions = _python_functions if suffix == ".py" else _javascript_functions
        found = functions(sources[name])
        for function in FUNCTIONS:
            if function in found:
                return f"{stem}.{function}"
    hint = ""
    if any(name in sources for name in ("template.yaml", "template.yml")):
        hint = " (a template lies here: templates are not deployed yet, only one function's folder)"
    raise CommandError(
        f"no handler found in {path}{hint}: name it with --handler MODULE.FUNCTION", 2
    )


def infer_runtime(handler: str, sources: Mapping[str, bytes]) -> str:
    """The newest runtime of the handler's language that this machine has an interpreter for."""
    stem = handler.rpartition(".")[0].replace("\\", "/")
    if f"{stem.replace('.', '/')}.py" in sources:
        return _newest("python") or PYTHON_FALLBACK
    if any(f"{stem}{suffix}" in sources for suffix in JAVASCRIPT_SUFFIXES):
        return _newest("nodejs") or NODE_FALLBACK
    if BOOTSTRAP in sources:
        return PROVIDED
    raise CommandError(f"no file for the handler {handler!r}: name the runtime with --runtime", 2)


def _newest(language: str) -> str:
    """The newest runtime id of AWS's that an interpreter here runs exactly; "" if there is none."""
    here = Runtimes(
        home=Path.home(), search_path=environment().get("PATH", ""), as_other_user=False
    ).interpreters()
    ids = [
        (found.version, id)
        for found in here
        for id in (*CURRENT_RUNTIMES, *NEWER_RUNTIMES)
        if found.language == language and id == _runtime_id(found)
    ]
    return max(ids, default=((), ""))[1]


def _runtime_id(found: Interpreter) -> str:
    if found.language == "python":
        return f"python{found.version[0]}.{found.version[1]}"
    return f"{found.language}{found.version[0]}.x"


def _function_name(path: Path) -> str:
    stem = path.name if path.is_dir() else path.stem
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", stem).strip("-")[:64] or "function"


def _candidates(sources: Mapping[str, bytes]) -> Iterable[str]:
    """Top-level source files, the likely ones first; an unlikely one only where it is alone."""
    suffixes = (".py", *JAVASCRIPT_SUFFIXES)
    top = sorted(name for name in sources if "/" not in name and name.endswith(suffixes))
    likely = [
        name for module in MODULES for name in top if name.removesuffix(_suffix(name)) == module
    ]
    return likely or (top if len(top) == 1 else [])


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1]


def _python_functions(source: bytes) -> set[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return set()  # the runtime will say so, with the line, better than we can
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = {node.name for node in tree.body if isinstance(node, functions)}
    for node in tree.body:  # handler = Mangum(app), handler = app.resolve
        if isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _javascript_functions(source: bytes) -> set[str]:
    text = source.decode("utf-8", "replace")
    return {
        word for pattern in _EXPORTED for found in pattern.findall(text)
        for word in re.findall(r"\w+", found)
    }  # fmt: skip


def _folder(root: Path) -> Iterator[tuple[str, tuple[bytes, bool]]]:
    """Every file below `root` with its x-bit; links are followed, as `zip -r` does."""
    entered = {root}
    for folder, names, files in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(set(names) - LEFT_OUT_FOLDERS):
            real = (Path(folder) / name).resolve()
            linked = (Path(folder) / name).is_symlink()
            if linked and (real in entered or root.is_relative_to(real)):
                raise CommandError(f"{Path(folder) / name} is a link back to a folder above it")
            entered.add(real)
            kept.append(name)
        names[:] = kept
        for name in files:
            path = Path(folder) / name
            if path.suffix in LEFT_OUT_SUFFIXES:
                continue
            try:
                executable = bool(path.stat().st_mode & 0o100)
                yield path.relative_to(root).as_posix(), (path.read_bytes(), executable)
            except OSError as error:
                raise CommandError(f"cannot read {path}: {error.strerror}") from error


def _zip(contents: Mapping[str, tuple[bytes, bool]]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            data, executable = contents[name]
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, whatever this is: the mode below counts
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return buffer.getvalue()


def _zipped_sources(path: Path, zipped: bytes) -> dict[str, bytes]:
    """File names of a zip, with the contents of its top-level source files."""
    try:
        with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/")]
            top = {name for name in names if "/" not in name and _suffix(name)}
            wanted = {name for name in top if name.endswith((".py", *JAVASCRIPT_SUFFIXES))}
            return {name: archive.read(name) if name in wanted else b"" for name in names}
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise CommandError(f"{path} is not a zip file that can be read: {error}") from error
