"""The command that prepares an image."""

import json
from pathlib import Path

import pytest

from lambent.sandbox.microvm.prepare import PACKAGES, main
from tests.sandbox.microvm.support import image_folder


def test_what_was_prepared_is_written_down() -> None:
    manifest = json.loads((image_folder() / "image.json").read_text())
    assert set(PACKAGES) <= set(manifest["packages"])
    assert not {"perl", "dpkg", "debconf"} & set(manifest["packages"])
    assert [len(file["sha256"]) for file in manifest["files"].values()] == [64, 64, 64]
    assert not list(image_folder().glob("lambent-image-*"))


def test_a_failure_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["--into", str(tmp_path / "file")]) == 1
    assert "File exists" in capsys.readouterr().err
