"""Packages: the same bytes for the same files, and what a person would name inferred."""

import io
import zipfile
from pathlib import Path

import pytest

from lambent.cli.errors import CommandError
from lambent.cli.package import build

PYTHON = "def handler(event, context):\n    return event\n"


def write(root: Path, **files: str) -> Path:
    """Files below `root`; `__` in a name is a slash, `_dot_` a dot."""
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def names(zipped: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(zipped)) as archive:
        return archive.namelist()


def test_a_folder_gives_the_same_bytes_whenever_it_is_read(tmp_path: Path) -> None:
    write(tmp_path / "one", app_dot_py=PYTHON, lib__more_dot_py="x = 1\n")
    write(tmp_path / "two", lib__more_dot_py="x = 1\n", app_dot_py=PYTHON)
    (tmp_path / "two" / "app.py").touch()
    one, two = build(tmp_path / "one", None, None), build(tmp_path / "two", None, None)
    assert one.zipped == two.zipped
    assert names(one.zipped) == ["app.py", "lib/more.py"]
    assert (one.name, one.files, one.handler) == ("one", 2, "app.handler")
    assert one.runtime.startswith("python3.")


def test_what_is_not_code_is_left_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        app_dot_py=PYTHON,
        _dot_git__HEAD="ref",
        sub____pycache____app_dot_pyc="x",
        old_dot_pyc="x",
        _dot_env="kept",
    )
    (tmp_path / "sub" / "__pycache__").mkdir(parents=True, exist_ok=True)
    (tmp_path / "sub" / "__pycache__" / "a.pyc").write_bytes(b"x")
    assert ".env" in names(build(tmp_path, None, None).zipped)
    assert not [n for n in names(build(tmp_path, None, None).zipped) if "pyc" in n or ".git" in n]


def test_x_bits_survive_and_other_modes_do_not(tmp_path: Path) -> None:
    write(tmp_path, bootstrap="#!/bin/sh\n", readme="hello")
    (tmp_path / "bootstrap").chmod(0o700)
    (tmp_path / "readme").chmod(0o600)
    package = build(tmp_path, None, None)
    with zipfile.ZipFile(io.BytesIO(package.zipped)) as archive:
        modes = {one.filename: one.external_attr >> 16 & 0o777 for one in archive.infolist()}
    assert modes == {"bootstrap": 0o755, "readme": 0o644}
    assert (package.handler, package.runtime) == ("bootstrap", "provided.al2023")


@pytest.mark.parametrize(
    ("file", "source", "handler"),
    [
        ("lambda_function.py", "def lambda_handler(e, c): ...", "lambda_function.lambda_handler"),
        ("app.py", "async def handler(e, c): ...", "app.handler"),
        ("app.py", "from mangum import Mangum\nhandler = Mangum(1)", "app.handler"),
        ("app.py", "from other import work as handler", "app.handler"),
        ("odd.py", PYTHON, "odd.handler"),
        ("index.mjs", "export const handler = async (event) => event", "index.handler"),
        ("index.js", "exports.handler = async (event) => event", "index.handler"),
        ("index.js", "module.exports = { other, handler }", "index.handler"),
        ("app.mjs", "export async function lambdaHandler(event) {}", "app.lambdaHandler"),
        ("app.mjs", "const handler = 1\nexport { handler }", "app.handler"),
    ],
)
def test_the_handler_is_found_in_the_source(
    tmp_path: Path, file: str, source: str, handler: str
) -> None:
    (tmp_path / file).write_text(source)
    by_file = build(tmp_path / file, None, None)
    by_folder = build(tmp_path, None, None)
    assert by_file.handler == by_folder.handler == handler
    assert by_file.runtime == by_folder.runtime
    assert by_file.runtime.startswith("python3." if file.endswith("py") else "nodejs")
    assert by_file.zipped == by_folder.zipped
    assert by_file.name == file.partition(".")[0]


def test_what_is_named_is_not_looked_for(tmp_path: Path) -> None:
    write(tmp_path, src__work_dot_py="def go(e, c): ...")
    package = build(tmp_path, "src/work.go", "python3.13")
    assert (package.handler, package.runtime) == ("src/work.go", "python3.13")
    assert build(tmp_path, "src/work.go", None).runtime.startswith("python3.")


def test_a_zip_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("app.py", PYTHON)
        archive.writestr("lib/", "")
    package = build(path, None, None)
    assert package.zipped == path.read_bytes()
    assert (package.name, package.handler, package.files) == ("made", "app.handler", 1)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "holds no files"),
        ({"a.py": "x = 1", "b.py": PYTHON}, "no handler found"),
        ({"app.py": "x = 1"}, "no handler found"),
        ({"template.yaml": "Resources: {}", "src.txt": ""}, "templates are not deployed yet"),
    ],
)
def test_a_folder_without_a_handler_is_refused(
    tmp_path: Path, files: dict[str, str], says: str
) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(CommandError, match=says):
        build(tmp_path, None, None)


def test_files_that_are_no_code_are_refused(tmp_path: Path) -> None:
    (tmp_path / "junk.zip").write_bytes(b"PK not really")
    (tmp_path / "template.yaml").write_text("Resources: {}")
    (tmp_path / "code.rs").write_text("fn main() {}")
    with pytest.raises(CommandError, match="not a zip file"):
        build(tmp_path / "junk.zip", None, None)
    with pytest.raises(CommandError, match="templates are not deployed yet") as refused:
        build(tmp_path / "template.yaml", None, None)
    assert refused.value.status == 2
    with pytest.raises(CommandError, match=r"give a folder, a \.zip"):
        build(tmp_path / "code.rs", None, None)
    with pytest.raises(CommandError, match="does not exist"):
        build(tmp_path / "nothing", None, None)


def test_links_are_followed_and_circles_refused(tmp_path: Path) -> None:
    write(tmp_path / "shared", lib_dot_py="x = 1\n")
    write(tmp_path / "fn", app_dot_py=PYTHON)
    (tmp_path / "fn" / "vendor").symlink_to(tmp_path / "shared")
    assert names(build(tmp_path / "fn", None, None).zipped) == ["app.py", "vendor/lib.py"]
    (tmp_path / "fn" / "again").symlink_to(tmp_path / "fn")
    with pytest.raises(CommandError, match="link back"):
        build(tmp_path / "fn", None, None)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    write(tmp_path, app_dot_py=PYTHON)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    with pytest.raises(CommandError, match=r"cannot read .*gone\.py"):
        build(tmp_path, None, None)


def test_names_are_made_fit_for_lambda(tmp_path: Path) -> None:
    write(tmp_path / "my app (1)", app_dot_py=PYTHON)
    assert build(tmp_path / "my app (1)", None, None).name == "my-app-1"
