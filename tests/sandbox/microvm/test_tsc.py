"""The counter's frequency: a plausible one, twice the same."""

import platform

import pytest

from lambent.sandbox.microvm import tsc


def test_the_counter_runs_at_a_plausible_rate() -> None:
    if platform.machine() != "x86_64":
        pytest.skip("only x86-64 has this counter")
    first = tsc.khz()
    tsc.khz.cache_clear()
    second = tsc.khz()
    assert first == 0 or 500_000 < first < 10_000_000
    assert first == 0 or abs(first - second) < first / 100
