"""reporting.py: the lines and their figures."""

import pytest

from lambent.services.lambda_.reporting import Report


def test_report_line_of_a_warm_invocation() -> None:
    assert Report("id", 3.014, 128, 36).text() == (
        "REPORT RequestId: id\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\t"
        "Max Memory Used: 36 MB\t\n"
    )


def test_report_line_of_a_cold_invocation_bills_the_init() -> None:
    report = Report("id", 133.61, 128, 36, init_ms=80.0)
    assert report.billed_ms == 214
    assert report.text().endswith("Max Memory Used: 36 MB\tInit Duration: 80.00 ms\t\n")


def test_report_line_of_a_failure() -> None:
    report = Report("id", 1.0, 128, 36, status="error", error_type="Runtime.ExitError")
    assert report.text().endswith("\tStatus: error\tError Type: Runtime.ExitError\t\n")


@pytest.mark.parametrize(("duration_ms", "billed_ms"), [(0.2, 1), (1.0, 1), (1.01, 2), (99.5, 100)])
def test_durations_are_billed_by_the_started_millisecond(
    duration_ms: float, billed_ms: int
) -> None:
    assert Report("id", duration_ms, 128, 1).billed_ms == billed_ms
