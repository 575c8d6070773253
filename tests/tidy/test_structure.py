"""Structure as tests: the kernel names no service, an operation is named once, tests mirror."""

import ast
import re
from collections import Counter
from collections.abc import Sequence

import pytest

from lambent.kernel import Service
from lambent.services import SERVICES
from tests.tidy.tree import ROOT, Module, modules

WITHOUT_MIRROR: dict[str, str] = {
    "base/limits.py": "constants only",
    "kernel/answers.py": "through the services that answer so",
    "kernel/journal.py": "tests/services/logs, and the invocations that write to it",
    "kernel/traits/document.py": "tests/services/iam",
    "kernel/traits/listing.py": "tests/services/iam and tests/services/lambda_",
    "kernel/traits/resource.py": "tests/services/iam",
    "kernel/traits/retry.py": "tests/services/iam",
    "kernel/traits/tagging.py": "tests/services/lambda_",
    "sandbox/levels.py": "tests/cli/test_doctor.py",
}
"""Modules whose tests are elsewhere, and where. A service's modules may be tested as a whole, by
its folder in tests/services."""


def _room(module: Module, room: str) -> bool:
    return module.name.startswith(f"src/lambent/{room}/")


def test_the_kernel_names_no_service() -> None:
    names = {service.name for service in SERVICES} | {"dynamodb", "sqs", "sns", "kinesis", "events"}
    ambiguous = {"events", "logs"}  # words of English too: only as whole strings
    found = []
    for module in modules():
        if not (_room(module, "kernel") or _room(module, "store") or _room(module, "net")):
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                docstring = "\n" in node.value or " " in node.value
                if node.value in names and not docstring and node.value not in ambiguous:
                    found.append(f"{module.name}:{node.lineno} {node.value}")
    assert found == []


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_an_operation_is_declared_once_in_full(service: Service) -> None:
    """So that a search for it leads to where it is served: one verb, or one trait, or a verb that
    overrides a trait."""
    folder = f"services/{service.name}".replace("services/lambda", "services/lambda_")
    verbs: Counter[str] = Counter()
    traits: Counter[str] = Counter()
    named: set[str] = set()
    for module in modules():
        if _room(module, folder):
            named.update(_texts(list(ast.walk(module.tree))))
            for call in (node for node in ast.walk(module.tree) if isinstance(node, ast.Call)):
                if isinstance(call.func, ast.Attribute) and call.func.attr == "operation":
                    verbs.update(_texts(call.args))
                elif isinstance(call.func, ast.Name):
                    traits.update(_texts([keyword.value for keyword in call.keywords]))
    served = {name for name, word in service.support().items() if word == "served"}
    assert {name: verbs[name] for name in served if verbs[name] > 1} == {}
    assert {name: traits[name] for name in served if traits[name] > 1} == {}
    assert served <= named, f"made of pieces: {sorted(served - named)}"


def _texts(nodes: Sequence[ast.AST]) -> list[str]:
    constants = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in constants if isinstance(value, str)]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_module_has_a_mirror_in_the_tests(module: Module) -> None:
    inside = module.path.relative_to(ROOT / "src" / "lambent")
    if module.path.stem in ("__init__", "protocol", "limits") or str(inside) in WITHOUT_MIRROR:
        return
    if inside.parts[0] == "services":
        folder = ROOT / "tests" / "services" / inside.parts[1]
        assert list(folder.rglob("test_*.py")), f"no tests for the service {inside.parts[1]}"
        return
    mirror = ROOT / "tests" / inside.parent / f"test_{inside.name}"
    assert mirror.exists(), f"no {mirror.relative_to(ROOT)}"


def test_exemptions_from_mirrors_are_still_needed() -> None:
    for name in WITHOUT_MIRROR:
        assert (ROOT / "src" / "lambent" / name).exists(), name


def test_rooms_say_what_they_may_import() -> None:
    rooms = [m for m in modules() if re.fullmatch(r"src/lambent/\w+/__init__\.py", m.name)]
    assert len(rooms) >= 9
    for module in rooms:
        text = ast.get_docstring(module.tree) or ""
        assert "ay import" in text, f"{module.name} does not say what it may import"
        assert "Read first" in text, f"{module.name} does not say where to begin"
