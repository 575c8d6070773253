"""Durations: every unit, and what is refused."""

import pytest

from lambent.base.durations import duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("90s", 90),
        ("15m", 900),
        ("1.5h", 5400),
        ("2d", 172800),
        (7, 7),
        (0.5, 0.5),
    ],
)
def test_reads_every_unit_and_plain_numbers(text: object, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "s", "-1s", "1 s", "1w", "٣s", None, True, [], "1e3s"])
def test_refuses_what_is_none(text: object) -> None:
    with pytest.raises(ValueError, match="Not a duration"):
        duration_s(text)


@pytest.mark.parametrize("text", [-1, float("nan"), float("inf"), "999999999d"])
def test_refuses_what_no_clock_can_be_moved_by(text: object) -> None:
    with pytest.raises(ValueError, match="moved by"):
        duration_s(text)
