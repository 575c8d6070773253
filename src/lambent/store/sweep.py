"""The sweep at start: files and rows that a crash left behind, and blobs that are not there.

A crash can leave temporary files, a file whose row never came, or a row whose last reference went
while it was pinned. All three are of no use to anyone and are removed. A row whose file is missing
or has another size is damage from outside: the server does not start over it.
"""

import os

import apsw

from lambent.base.errors import StartupError
from lambent.store.folder import Folder


def sweep(db: apsw.Connection, folder: Folder) -> None:
    """Remove what nothing refers to. Errors: StartupError naming a file that is not right."""
    for left in folder.temporary.iterdir():
        left.unlink()
    db.execute("DELETE FROM blobs WHERE refs <= 0")
    wanted = {
        sha256.hex(): size_bytes
        for sha256, size_bytes in db.execute("SELECT sha256, size FROM blobs WHERE data IS NULL")
    }
    for shelf in folder.blobs.iterdir():
        if shelf != folder.temporary and shelf.is_dir():
            with os.scandir(shelf) as files:
                for file in files:
                    _settle(file, wanted)
    for sha256 in wanted:
        raise StartupError(
            f"the blob {folder.blob(sha256)} is missing: restore it from a backup of this data "
            f"folder ({len(wanted)} missing in all)"
        )


def _settle(file: os.DirEntry[str], wanted: dict[str, int]) -> None:
    size_bytes = wanted.pop(file.name, None)
    if size_bytes is None:
        os.unlink(file)
    elif (found := file.stat().st_size) != size_bytes:
        raise StartupError(
            f"the blob {file.path} has {found} bytes and should have {size_bytes}: restore it "
            f"from a backup of this data folder"
        )
