"""Debian packages as a tree of files: which ones are needed, fetched by apt, unpacked without root.

No maintainer script runs and nothing is installed on this machine: `apt-get download` fetches and
verifies (signatures and checksums are apt's), `dpkg-deb --fsys-tarfile` opens, and what a guest
never reads (documentation, translations, tests) is left out.
"""

import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

DOWNLOAD_BYTES_MAX = 512 << 20
UNPACKED_BYTES_MAX = 1 << 30
_COMMAND_S_MAX = 600
_MERGED = {name: f"usr/{name}" for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32")}
_NOT_NEEDED = frozenset(
    "base-passwd cdebconf debconf debianutils dpkg gawk init-system-helpers install-info libpam0g "
    "mailcap mawk mime-support original-awk perl perl-base readline-common ucf".split()
)
"""What packages depend on only for their maintainer scripts and manuals."""
_LEFT_OUT = re.compile(
    r"usr/share/(doc|man|info|locale|lintian|bash-completion|zsh|fish|bug|menu|pixmaps|applications"
    r"|systemtap|zoneinfo/(right|posix))(/|$)"
    r"|usr/include/|usr/lib/node_modules/"
    r"|usr/lib/python3[^/]*/(test|idlelib|tkinter|lib2to3|ensurepip|pydoc_data|config-[^/]*)(/|$)"
    r"|usr/lib/x86_64-linux-gnu/(gconv|perl-base)(/|$)|usr/lib/x86_64-linux-gnu/engines"
)


class PackageError(Exception):
    """A package cannot be fetched or opened; the text says which and why."""


def run(command: Sequence[str], *, cwd: Path | None = None) -> str:
    """Run a program to its end; its output. Errors: PackageError."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed programs, no shell
            command, cwd=cwd, check=True, capture_output=True, text=True, timeout=_COMMAND_S_MAX
        )
    except FileNotFoundError as error:
        raise PackageError(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise PackageError(f"{command[0]} took more than {_COMMAND_S_MAX} s") from error
    except subprocess.CalledProcessError as error:
        words = str(error.stderr or error.stdout).strip()
        raise PackageError(f"{' '.join(command[:3])}: {words[-500:]}") from error
    return done.stdout


def needed(names: Iterable[str]) -> list[str]:
    """`names` and what they depend on, without what only maintainer scripts need."""
    listing = run(["apt-cache", "depends", "--recurse", "--important", *names])
    graph = dependencies(listing)
    found: dict[str, None] = {}
    todo = list(names)
    while todo:
        name = todo.pop(0)
        if name not in found and name not in _NOT_NEEDED:
            found[name] = None
            todo += graph.get(name, [])
    return list(found)


def dependencies(listing: str) -> dict[str, list[str]]:
    """The output of `apt-cache depends --recurse` as a graph; of alternatives, the first."""
    graph: dict[str, list[str]] = {}
    current: list[str] = []
    alternative = False
    for line in listing.splitlines():
        if line and not line[0].isspace():
            current = graph.setdefault(line.strip(), [])
            alternative = False
            continue
        match = re.fullmatch(r" ([ |])(Pre)?Depends: (\S+)", line)
        if match:
            if not alternative and not match[3].startswith("<"):
                current.append(match[3].partition(":")[0])
            alternative = match[1] == "|"
    return graph


def download(names: Sequence[str], into: Path) -> dict[str, Path]:
    """Fetch packages into a folder; name -> file. What is there already is not fetched again.

    Errors: PackageError.
    """
    into.mkdir(parents=True, exist_ok=True)
    run(["apt-get", "download", "-q", *names], cwd=into)
    files = {}
    for name in names:
        found = sorted(into.glob(f"{name}_*.deb"), key=lambda file: file.stat().st_mtime_ns)
        if not found:
            raise PackageError(f"apt-get did not fetch {name}")
        files[name] = found[-1]
    size = sum(file.stat().st_size for file in files.values())
    if size > DOWNLOAD_BYTES_MAX:
        raise PackageError(f"{size >> 20} MiB of packages: more than {DOWNLOAD_BYTES_MAX >> 20}")
    return files


def unpack(package: Path, folder: Path, *, only: str = "") -> int:
    """Unpack what a guest reads of a package (`only`: a prefix) into a tree; bytes written.

    Errors: PackageError.
    """
    with subprocess.Popen(  # noqa: S603 - a fixed program, no shell
        ["dpkg-deb", "--fsys-tarfile", str(package)],  # noqa: S607 - wherever it is installed
        stdout=subprocess.PIPE,
    ) as opened:
        assert opened.stdout is not None
        size = 0
        try:
            with tarfile.open(fileobj=opened.stdout, mode="r|") as tar:
                for entry in tar:
                    path = PurePosixPath(entry.name)
                    if str(path).startswith(only) and not _LEFT_OUT.match(str(path)):
                        size += _extract(tar, entry, folder, path)
        except tarfile.TarError as error:
            raise PackageError(f"{package.name}: {error}") from error
    return size


def _extract(
    tar: tarfile.TarFile, entry: tarfile.TarInfo, folder: Path, path: PurePosixPath
) -> int:
    if path.is_absolute() or ".." in path.parts:
        raise PackageError(f"{path} leaves the tree")
    target = _target(folder, path)
    if entry.isdir():
        target.mkdir(parents=True, exist_ok=True)
    elif entry.issym():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(entry.linkname)
    elif entry.islnk():
        target.unlink(missing_ok=True)
        target.hardlink_to(_target(folder, PurePosixPath(entry.linkname)))
    elif entry.isfile():
        source = tar.extractfile(entry)
        assert source is not None
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:
            shutil.copyfileobj(source, file)
        target.chmod(entry.mode & 0o755)  # nothing here is set-uid
        return entry.size
    return 0


def _target(folder: Path, path: PurePosixPath) -> Path:
    """Where a path goes: /bin, /lib and so on are below /usr, as Debian installs them."""
    parts = path.parts
    if parts and parts[0] in _MERGED:
        return folder.joinpath(_MERGED[parts[0]], *parts[1:])
    return folder.joinpath(*parts)


def merge_usr(folder: Path) -> None:
    """The links that a merged /usr has."""
    for name, target in _MERGED.items():
        if (folder / target).is_dir() and not (folder / name).is_symlink():
            (folder / name).symlink_to(target)
