"""Why not: what is missing, and whether KVM is believed."""

import os
from pathlib import Path

from lambent.sandbox.microvm.probing import lacking, why_not
from tests.sandbox.microvm.support import image_folder

PATH = os.environ.get("PATH", "")


def test_what_is_missing_is_named_with_the_remedy(tmp_path: Path) -> None:
    assert "lambent.sandbox.microvm.prepare" in lacking(tmp_path, PATH)[-1]
    assert lacking(tmp_path, PATH)[-1] in why_not(tmp_path, PATH)
    assert lacking(image_folder(), PATH) == []


def test_kvm_is_believed_only_if_a_guest_answers() -> None:
    reason = why_not(image_folder(), PATH)
    excuses = ("a guest did not", "not open to")  # answer, start; this user, its group
    assert not reason or any(text in reason for text in excuses), reason
