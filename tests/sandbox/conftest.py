"""Every test of what an environment does runs at every level that forks; the others say why not."""

from collections.abc import Iterator

import pytest

from lambent.sandbox.namespace.probing import why_not
from tests.sandbox import support

AT_EVERY_LEVEL = {"test_process_box", "test_python", "test_node", "test_hostile", "test_reset"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__.rpartition(".")[2] in AT_EVERY_LEVEL:
        metafunc.parametrize("level", ["process", "namespace"], indirect=True)
    elif "/namespace/" in str(metafunc.definition.path):
        metafunc.parametrize("level", ["namespace"], indirect=True)


@pytest.fixture(autouse=True)
def level(request: pytest.FixtureRequest) -> Iterator[str]:
    name = getattr(request, "param", "process")
    if name == "namespace" and why_not():
        pytest.skip(f"no name spaces here: {why_not()}")
    support.current_level = name
    yield name
    support.current_level = "process"
