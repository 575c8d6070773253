"""The server's own log: one line per record, as text or as JSON, on stderr only."""

import json
import logging
from collections.abc import Iterator

import pytest

from lambent.base import log


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger("lambent")
    before = (root.handlers[:], root.level, root.propagate)
    yield
    root.handlers[:], root.level, root.propagate = before


def _write(log_format: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    log.configure(log_format)
    log.configure(log_format)  # again: the line must not come twice
    logger = logging.getLogger("lambent.somewhere")
    logger.debug("unseen")
    logger.warning("seen %s", 1)
    try:
        raise LookupError("why")
    except LookupError:
        logger.exception("failed")
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def test_text(capsys: pytest.CaptureFixture[str]) -> None:
    lines = _write("text", capsys)
    assert lines[0].endswith("WARNING lambent.somewhere: seen 1")
    assert lines[1].endswith("ERROR lambent.somewhere: failed")
    assert lines[-1] == "LookupError: why"


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    first, second = (json.loads(line) for line in _write("json", capsys))
    assert first.keys() == {"time", "level", "logger", "message"}
    assert (first["level"], first["logger"]) == ("WARNING", "lambent.somewhere")
    assert first["message"] == "seen 1"
    assert second["message"] == "failed"
    assert "LookupError: why" in second["exception"]
