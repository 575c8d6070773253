"""The image's folder: what is an image and what is not."""

import json
import shutil
from pathlib import Path

import pytest

from lambent.sandbox.microvm.image import FILES, ImageError, load, verify
from tests.sandbox.microvm.support import image_folder


def test_a_prepared_image_says_what_is_inside() -> None:
    image = load(image_folder())
    assert image.python >= (3, 9)
    assert image.kernel[0].isdigit()
    assert image.file("vmlinux").read_bytes()[:4] == b"\x7fELF"
    verify(image.folder)
    assert sum(image.file(name).stat().st_size for name in FILES) < 600 << 20


def test_what_is_no_image(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"python -m lambent\.sandbox\.microvm\.prepare --into"):
        load(tmp_path)
    (tmp_path / "image.json").write_text("{")
    with pytest.raises(ImageError):
        load(tmp_path)
    (tmp_path / "image.json").write_text(json.dumps({"format": 0}))
    with pytest.raises(ImageError, match="another version"):
        load(tmp_path)


def test_a_changed_file_is_found(tmp_path: Path) -> None:
    whole = image_folder()
    for name in ("image.json", "initramfs"):
        shutil.copy(whole / name, tmp_path / name)
    with pytest.raises(ImageError, match="vmlinux"):
        load(tmp_path)
    for name in FILES:
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(whole / name)
    assert load(tmp_path).kernel == load(whole).kernel
    data = bytearray((tmp_path / "initramfs").read_bytes())
    data[1000] ^= 1
    (tmp_path / "initramfs").write_bytes(data)
    with pytest.raises(ImageError, match="not what was prepared"):
        verify(tmp_path)
