"""Prepares the image that microVMs start from, out of Debian packages.

    python -m lambent.sandbox.microvm.prepare --into FOLDER [--without-node]

One command, no root needed: packages are fetched by apt from this machine's own sources, so the
guest has this Debian's python3 (and nodejs, or else this machine's own node, if there is one).
"""

import argparse
import json
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from lambent.sandbox.microvm.disks import DiskError, format_folder
from lambent.sandbox.microvm.image import FILES, FORMAT, USER_ID, Image, digest, load
from lambent.sandbox.microvm.kernel import initramfs, vmlinux
from lambent.sandbox.microvm.packages import (
    UNPACKED_BYTES_MAX,
    PackageError,
    download,
    merge_usr,
    needed,
    run,
    unpack,
)

KERNEL_PACKAGE = "linux-image-cloud-amd64"
PACKAGES = ("python3", "bash", "dash", "coreutils", "sed", "grep", "curl", "ca-certificates",
            "tzdata", "libstdc++6", "base-files")  # fmt: skip
_FOLDERS = ("dev", "proc", "sys", "run", "tmp", "root", "opt", "var/task", "var/tmp", "etc")
_LINKS = {"var/lang": "../usr", "var/runtime": "../run/lambent", "var/run": "../run"}
_ETC = {
    "passwd": f"root:x:0:0:root:/root:/bin/sh\nsbx_user1051:x:{USER_ID}:{USER_ID}::/tmp:/bin/sh\n",
    "group": f"root:x:0:\nsbx_group:x:{USER_ID}:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "resolv.conf": "",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}


def prepare(folder: Path, *, node: bool = True) -> Image:
    """Make an image in `folder` (about a minute, 300 MB while it works); for a worker thread.

    `node`: include Node.js, apt's or else this machine's own, if there is one.
    Errors: PackageError, DiskError, OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "image.json").unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="lambent-image-", dir=folder) as scratch:
        work = Path(scratch)
        versions = {"kernel": _prepare_kernel(folder, work), **_prepare_root(folder, work, node)}
    files = {
        name: {"size": (folder / name).stat().st_size, "sha256": digest(folder / name)}
        for name in FILES
    }
    manifest = {"format": FORMAT, **versions, "files": files}
    draft = folder / "image.json.tmp"
    draft.write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    draft.rename(folder / "image.json")
    return load(folder)


def _prepare_kernel(folder: Path, work: Path) -> str:
    """`vmlinux` and `initramfs`; the kernel's version."""
    listing = run(["apt-cache", "depends", "--important", KERNEL_PACKAGE])
    named = re.search(r"Depends: (linux-image-(\S+))", listing)
    if named is None:
        raise PackageError(f"apt knows no {KERNEL_PACKAGE}: run apt-get update")
    files = download([named[1], "busybox-static"], work / "kernel-packages")
    tree = work / "kernel"
    unpack(files[named[1]], tree)
    unpack(files["busybox-static"], tree)
    image = (tree / "boot" / f"vmlinuz-{named[2]}").read_bytes()
    (folder / "vmlinux").write_bytes(vmlinux(image))
    busybox = (tree / "usr/bin/busybox").read_bytes()
    modules = tree / "usr/lib/modules" / named[2]
    (folder / "initramfs").write_bytes(initramfs(busybox, modules))
    return named[2]


def _prepare_root(folder: Path, work: Path, node: bool) -> dict[str, Any]:
    """`rootfs.ext4`; the versions of the languages inside."""
    names = needed(PACKAGES)
    files = download(names, work / "packages")
    if node:
        files |= _node_packages(names, work / "packages")
    tree = work / "root"
    size = sum(unpack(file, tree) for file in files.values())
    if size > UNPACKED_BYTES_MAX:
        raise PackageError(f"the root file system has {size >> 20} MiB")
    merge_usr(tree)
    _furnish(tree)
    own_node = shutil.which("node")
    if node and "nodejs" not in files and own_node:
        shutil.copy(os.path.realpath(own_node), tree / "usr/bin/node")
    python = _python_version(tree)
    _compile(tree, python)
    has_node = (tree / "usr/bin/node").exists()
    versions = {
        "python": python,
        "node": _version(run([*_inside(tree), "usr/bin/node", "--version"], cwd=tree))
        if has_node
        else None,
        "packages": {name: file.name.split("_")[1] for name, file in files.items()},
    }
    format_folder(tree, folder / "rootfs.ext4")
    return versions


def _node_packages(present: list[str], into: Path) -> dict[str, Path]:
    """Node.js and what it needs besides; nothing where apt cannot fetch it."""
    try:
        return download([n for n in needed(["nodejs"]) if n not in present], into)
    except PackageError:
        return {}


def _furnish(tree: Path) -> None:
    """Folders, links and files of /etc that maintainer scripts would have made."""
    for name in _FOLDERS:
        if not (tree / name).is_symlink():
            (tree / name).mkdir(parents=True, exist_ok=True)
    for name, target in _LINKS.items():
        link = tree / name
        if link.is_dir() and not link.is_symlink():
            shutil.rmtree(link)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    for name, text in _ETC.items():
        (tree / "etc" / name).unlink(missing_ok=True)
        (tree / "etc" / name).write_text(text, encoding="ascii")
    certificates = sorted((tree / "usr/share/ca-certificates/mozilla").glob("*.crt"))
    (tree / "etc/ssl/certs").mkdir(parents=True, exist_ok=True)
    bundle = b"".join(file.read_bytes() for file in certificates)
    (tree / "etc/ssl/certs/ca-certificates.crt").write_bytes(bundle)
    for path, _, _ in os.walk(tree):
        os.chmod(path, 0o755)  # noqa: S103 - the guest's own folders


def _python_version(tree: Path) -> list[int]:
    target = os.readlink(tree / "usr/bin/python3")
    found = re.search(r"python(\d+)\.(\d+)", target)
    if found is None:
        raise PackageError(f"python3 is a link to {target}")
    return [int(found[1]), int(found[2])]


def _compile(tree: Path, python: list[int]) -> None:
    """Byte-compile the standard library with the guest's own interpreter."""
    library = "usr/lib/python{}.{}".format(*python)
    program = "usr/bin/python{}.{}".format(*python)
    run([*_inside(tree), program, "-S", "-m", "compileall", "-q", "-d", f"/{library}",
         "--invalidation-mode", "unchecked-hash", library], cwd=tree)  # fmt: skip


def _inside(tree: Path) -> list[str]:
    """How a program of the tree is run on this machine: by the tree's own loader."""
    settings = ["env", "-i", f"PYTHONHOME={tree / 'usr'}"]
    loader = tree / "usr/lib64/ld-linux-x86-64.so.2"
    return [*settings, str(loader), "--library-path", str(tree / "usr/lib/x86_64-linux-gnu")]


def _version(text: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", text)[:3]]


def main(arguments: list[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(description="Prepare the image that microVMs start from.")
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--without-node", action="store_true", help="leave Node.js out")
    options = parser.parse_args(arguments)
    try:
        image = prepare(options.into.resolve(), node=not options.without_node)
    except (PackageError, DiskError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    languages = f"Python {'.'.join(map(str, image.python))}"
    if image.node:
        languages += f", Node.js {'.'.join(map(str, image.node))}"
    sys.stdout.write(f"{image.folder}: Linux {image.kernel}, {languages}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
