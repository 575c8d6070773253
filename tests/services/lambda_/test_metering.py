"""metering.py: AWS's price table, and sums that survive."""

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lambent.services.lambda_.metering import GB_S_TIERS, MIB_MS_PER_GB_S, priced
from tests.servers import LambentProcess, ThreadServer
from tests.services.lambda_.zips import ECHO, ROLE


def usage(requests: int, billed_ms: int, memory_mib: int, tmp_mib: int = 0) -> dict[str, int]:
    return {
        "requests": requests,
        "billed_ms": billed_ms,
        "mib_ms": billed_ms * memory_mib,
        "tmp_mib_ms": billed_ms * tmp_mib,
    }


def test_awss_example() -> None:
    """3 million requests of 120 ms at 1,536 MB: 540,000 GB-s, 9.00 USD and 0.60 USD."""
    (line,) = priced([("2026-11-01", "f", usage(3_000_000, 360_000_000, 1536))])
    assert line["gbSeconds"] == 540_000
    assert line["usd"] == pytest.approx(9.00 + 0.60, abs=0.001)


def test_months_have_tiers_of_their_own() -> None:
    six_billion = {"requests": 0, "billed_ms": 0, "mib_ms": 6 * 10**9 * MIB_MS_PER_GB_S}
    one = {"requests": 0, "billed_ms": 0, "mib_ms": MIB_MS_PER_GB_S, "tmp_mib_ms": 0}
    rows = [
        ("2026-11-01", "f", six_billion | {"tmp_mib_ms": 0}),
        ("2026-11-02", "f", one),
        ("2026-12-01", "f", one),
    ]
    assert [line["usd"] for line in priced(rows)][1:] == [0.000015, 0.0000166667]


@given(st.lists(st.integers(0, 10**10), max_size=6))
def test_splitting_usage_over_days_changes_no_total(amounts: list[int]) -> None:
    rows = [
        (f"2026-11-{day:02}", "f", usage(0, 0, 0) | {"mib_ms": gb_s * MIB_MS_PER_GB_S})
        for day, gb_s in enumerate(amounts, 1)
    ]
    left, total = float(sum(amounts)), 0.0
    for size, usd in GB_S_TIERS:
        total += min(left, size) * usd
        left -= min(left, size)
    assert sum(line["usd"] for line in priced(rows)) == pytest.approx(total)


def _cost(url: str) -> Any:
    with urllib.request.urlopen(f"{url}/_lambent/cost") as answer:
        return json.loads(answer.read())


def _deploy(client: Any, name: str, **more: Any) -> None:
    client.create_function(
        FunctionName=name,
        Role=ROLE,
        Runtime="python3.12",
        Handler="index.handler",
        Code={"ZipFile": ECHO},
        **more,
    )
    client.get_waiter("function_active_v2").wait(FunctionName=name)


def test_invocations_are_counted_by_function_and_day(virtual_server: ThreadServer) -> None:
    client = virtual_server.client("lambda")
    _deploy(client, "a", MemorySize=256)
    _deploy(client, "b")
    for name in ("a", "a", "b"):
        client.invoke(FunctionName=name)
    virtual_server.clock.advance(86_400)
    client.invoke(FunctionName="a")
    lines = _cost(virtual_server.url)["usage"]
    counted = [(line["function"], line["requests"]) for line in lines]
    assert counted == [("a", 2), ("b", 1), ("a", 1)]
    assert lines[0]["day"] < lines[2]["day"]
    for line in lines:
        memory_mib = 256 if line["function"] == "a" else 128
        assert line["billedMs"] >= line["requests"]
        assert line["gbSeconds"] == pytest.approx(line["billedMs"] * memory_mib / 1024 / 1000)


def test_what_was_counted_is_there_after_a_restart(
    lambent_process: Callable[..., LambentProcess], tmp_path: Path
) -> None:
    process = lambent_process(data=tmp_path / "data")
    client = process.client("lambda")
    _deploy(client, "kept")
    client.invoke(FunctionName="kept")
    before = _cost(process.url)
    process.kill()
    process.restart()
    assert _cost(process.url) == before
