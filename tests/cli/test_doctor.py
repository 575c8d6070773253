"""`lambent doctor`: it tells the truth, and its exit status can be relied on."""

import json
import sys
from pathlib import Path
from typing import Any

from lambent.cli.doctor import GOOD, POOR, Finding, report
from tests.cli.commands import lambent


def findings(*words: str) -> dict[tuple[str, str], dict[str, Any]]:
    result = lambent("doctor", "--json", *words)
    rows = json.loads(result.stdout)["findings"]
    bad = any(row["state"] == "bad" for row in rows)
    assert result.returncode == (1 if bad else 0), result.stderr
    return {(row["section"], row["name"]): row for row in rows}


def test_it_runs_a_function(tmp_path: Path) -> None:
    found = findings("--data", str(tmp_path / "data"))
    assert found["functions", "a function"]["state"] == GOOD
    own = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    assert found["runtimes", own]["state"] == GOOD
    assert found["runtimes", "provided.al2023"]["state"] == GOOD
    assert "network" in found["functions", "namespace"]["text"] or "not work" in str(
        found["functions", "namespace"]["text"]
    )
    assert found["functions", "microvm"]["text"]
    assert found["data", "folder"]["text"].endswith("can be made")
    assert not (tmp_path / "data").exists()


def test_people_get_a_table_without_colour_in_a_pipe() -> None:
    result = lambent("doctor")
    assert result.returncode == 0
    assert "\x1b" not in result.stdout
    sections = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert sections == ["machine", "functions", "runtimes", "limits", "optional parts", "data"]


def test_what_is_missing_comes_with_its_package() -> None:
    found = findings_without_a_path()
    assert found["optional parts", "node"]["state"] == POOR
    assert found["optional parts", "node"]["package"] == "nodejs"
    line = list(report([Finding("optional parts", "node", POOR, "not found", "nodejs")]))[-1]
    assert line == "  --  node  not found (Debian package: nodejs)"


def findings_without_a_path() -> dict[tuple[str, str], dict[str, Any]]:
    result = lambent("doctor", "--json", env={"PATH": "/nonexistent"})
    assert result.returncode == 0, result.stderr
    return {(r["section"], r["name"]): r for r in json.loads(result.stdout)["findings"]}


def test_a_folder_that_cannot_be_used_is_status_1(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = findings("--data", str(tmp_path / "file" / "data"))
    assert found["data", "folder"]["state"] == "bad"


def test_stored_data_is_verified(lambent_process: Any, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = lambent_process(data=data)
    server.client("s3").create_bucket(Bucket="bucket")
    server.client("s3").put_object(Bucket="bucket", Key="key", Body=b"x" * 100_000)
    in_use = findings("--data", str(data))["data", "folder"]
    assert in_use["state"] == "bad"
    assert str(server.pid) in in_use["text"]
    assert server.stop() == 0
    assert findings("--data", str(data))["data", "folder"]["text"].endswith("all intact")
    (blob,) = (path for path in (data / "blobs").rglob("*") if path.is_file())
    blob.write_bytes(b"y" * 100_000)
    damage = findings("--data", str(data))["data", "damage"]
    assert damage["state"] == "bad"
    assert blob.name in damage["text"]
