"""Documents tell the truth: what is generated is fresh, links lead somewhere, options are told."""

import re
from pathlib import Path

import pytest

from lambent.base.config import OPTIONS
from lambent.cli import support_table
from lambent.cli.main import NOT_YET, VERBS
from lambent.cli.main import parser as command_line
from lambent.gateway.control import Control

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)#\s]+)(#[^)]*)?\)")
CONTRACT = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")


def documents() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_what_is_generated_is_fresh() -> None:
    wanted = dict(support_table.outputs())
    stale = [
        path.relative_to(ROOT).as_posix()
        for path, text in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    assert not stale, f"run `make docs`: {stale}"
    left_over = set((ROOT / "docs" / "services").glob("*.md")) - wanted.keys()
    assert not left_over, f"run `make docs`: {left_over}"


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_relative_links_lead_somewhere(path: Path) -> None:
    links = [found[1] for found in LINK.finditer(path.read_text(encoding="utf-8"))]
    broken = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not broken


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_setting_is_in_the_contract(option: object) -> None:
    row = f"| `--{option.name}` | `{option.variable}` |"  # type: ignore[attr-defined]
    assert row in CONTRACT


@pytest.mark.parametrize("verb", [*VERBS, *NOT_YET])
def test_every_verb_is_in_the_contract(verb: str) -> None:
    assert f"`lambent {verb}" in CONTRACT


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "serve"])
def test_every_option_of_a_verb_is_in_the_contract(verb: str) -> None:
    actions = command_line([verb])._subparsers._group_actions[0].choices[verb]._actions  # type: ignore[union-attr,index,call-overload]
    options = {name for action in actions for name in action.option_strings if name != "-h"}
    missing = [name for name in sorted(options - {"--help"}) if name not in CONTRACT]
    assert not missing


def test_every_control_address_is_in_the_contract() -> None:
    import inspect

    source = inspect.getsource(Control)
    addresses = re.findall(r'\("(GET|POST)", "([^"]+)"\)', source)
    assert len(addresses) >= 7
    missing = [f"{verb} {path}" for verb, path in addresses if f"`{verb} {path}" not in CONTRACT]
    assert not missing


def test_specification_names_tests_that_exist() -> None:
    text = (ROOT / "SPECIFICATION.md").read_text(encoding="utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert named
    for path, test in named:
        source = (ROOT / path).read_text(encoding="utf-8")
        assert not test or f"def {test}(" in source, f"{path} has no {test}"


def test_the_changelog_keeps_its_form() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("#")]
    assert headings[:2] == ["# Changelog", "## [Unreleased]"]
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    for heading in headings[2:]:
        if heading.startswith("### "):
            assert heading[4:] in kinds
        else:
            assert re.fullmatch(r"## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading)
