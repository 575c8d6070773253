"""One sandbox for all tests of a process: its blank guest is booted once."""

from collections.abc import Iterator

import pytest

from tests.sandbox.microvm.support import MicrovmBench, a_bench, image_folder


@pytest.fixture(scope="session")
def bench() -> Iterator[MicrovmBench]:
    with a_bench(image_folder()) as made:
        yield made
