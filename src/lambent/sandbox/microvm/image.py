"""What a microVM is started from: kernel, initramfs and root disk in one folder.

`prepare.py` makes it: `vmlinux`, `initramfs`, `rootfs.ext4` and, last, `image.json` with what is
inside and the files' checksums. A folder without a valid `image.json` is no image.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = 1
FILES = ("vmlinux", "initramfs", "rootfs.ext4")
USER_ID = 993
"""Who functions run as inside: AWS's `sbx_user1051`."""


class ImageError(Exception):
    """There is no usable image; the text says why."""


@dataclass(frozen=True, slots=True)
class Image:
    """A prepared image."""

    folder: Path
    kernel: str
    python: tuple[int, ...]
    node: tuple[int, ...] | None

    def file(self, name: str) -> Path:
        """The path of one of `FILES`."""
        return self.folder / name


def load(folder: Path) -> Image:
    """The image in a folder; sizes are compared, checksums only by `verify`. Errors: ImageError."""
    found = _manifest(folder)
    for name in FILES:
        try:
            size = (folder / name).stat().st_size
        except OSError as error:
            raise ImageError(f"{folder / name}: {error.strerror}") from error
        if size != found["files"][name]["size"]:
            raise ImageError(f"{folder / name} is not what was prepared")
    node = found["node"]
    python = tuple(found["python"])
    return Image(folder.resolve(), found["kernel"], python, tuple(node) if node else None)


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "image.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ImageError(
            f"no image in {folder}: run python -m lambent.sandbox.microvm.prepare --into {folder}"
        ) from error
    except (OSError, ValueError) as error:
        raise ImageError(f"{folder / 'image.json'}: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ImageError(f"the image in {folder} is of another version: prepare it again")
    return found


def verify(folder: Path) -> None:
    """Compare every file with its checksum; for a worker thread. Errors: ImageError."""
    found = _manifest(folder)
    for name in FILES:
        if digest(folder / name) != found["files"][name]["sha256"]:
            raise ImageError(f"{folder / name} is not what was prepared")


def digest(path: Path) -> str:
    """The SHA-256 of a file, in hex; for a worker thread."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
