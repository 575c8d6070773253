"""What is written about services: who serves an operation, and which tests use it."""

from pathlib import Path

import pytest

from lambent.cli import support_table
from lambent.services import SERVICES

BY_NAME = {service.name: service for service in SERVICES}


def row(service: str, operation: str) -> support_table.Row:
    return next(row for row in support_table.rows(BY_NAME[service]) if row.operation == operation)


def test_verbs_are_named_with_their_file() -> None:
    invoke = row("lambda", "Invoke")
    assert invoke.served_by == (
        "[invoke.py](../../src/lambent/services/lambda_/invoke.py), `invoke`"
    )
    assert "tests/services/lambda_/test_invoke.py" in invoke.tests


def test_declarations_are_named_with_their_trait() -> None:
    assert row("iam", "CreateRole").served_by.endswith("), trait Resource")


def test_what_is_not_served_has_no_server_and_no_tests() -> None:
    assert row("lambda", "CreateCapacityProvider") == support_table.Row(
        "CreateCapacityProvider", "", ()
    )


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_operation_is_on_the_page_of_its_service(service: object) -> None:
    page = support_table.page(service)  # type: ignore[arg-type]
    names = service.model.operation_names  # type: ignore[attr-defined]
    assert all(name in page for name in names)
    served = sum(1 for row in support_table.rows(service) if row.served_by)  # type: ignore[arg-type]
    assert f"{served} of {len(names)} operations are served" in page
    assert service.name in support_table.TITLES  # type: ignore[attr-defined]


def test_writing_twice_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{support_table.BEGIN}\nold\n{support_table.END}\nafter\n")
    monkeypatch.setattr(support_table, "README", readme)
    monkeypatch.setattr(support_table, "DOCS_FOLDER", tmp_path / "services")
    (tmp_path / "services").mkdir()
    (tmp_path / "services" / "gone.md").write_text("a service that is no more")
    monkeypatch.setattr(support_table, "shown", lambda path: path.name)
    assert support_table.main() == 0
    said = capsys.readouterr().out
    assert "removed gone.md" in said
    assert "wrote lambda.md" in said
    text = readme.read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "[Lambda](docs/services/lambda.md)" in text
    assert support_table.main() == 0
    assert capsys.readouterr().out == ""
