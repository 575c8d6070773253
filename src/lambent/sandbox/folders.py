"""The folders and identities of environments at the `process` level.

Layout below the sandbox's folder (0711: nobody can list it):

    lock        held while the server lives; a folder whose lock is free is swept at the next start
    runtime/    our Node bootstrap, readable by all (LAMBDA_RUNTIME_DIR)
    code/       where Lambda unpacks code: one folder per package
    root-*/     where a nursery's own root is mounted, in its own mount name space
    env/        one private folder per environment (its /tmp), 0700 and its own uid's

As root, every environment has a uid of its own, and every code folder a group of its own that only
the environments launched with it are members of (0750 root:group), so code is readable by its own
functions, writable by none and invisible to others. Uids are handed out round robin, so that one is
not used again soon. Unprivileged, all of this is one user's: only its file modes remain.
"""

import fcntl
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lambent.sandbox.box import LaunchError
from lambent.sandbox.runtimes import reachable

PREFIX = "lambent-box-"
"""What the folders (and control groups) of all servers are called."""
_PIDS_MAX = 1 << 22  # PID_MAX_LIMIT: no process has a higher number
_KILLERS_FIRST = 0x1000_0000
_UID_FIRST, _UID_COUNT = _KILLERS_FIRST + _PIDS_MAX, 0x0700_0000
_GID_FIRST, _GID_COUNT = 0x1000_0000, 0x0800_0000
_SMALL_FIRST, _SMALL_COUNT, _SMALL_KILLERS = (
    20_000,
    20_000,
    256,
)  # inside the 65,536 ids of a usual container
NODE_BOOTSTRAP = Path(__file__).resolve().parent / "bootstrap" / "node.mjs"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an environment runs as."""

    uid: int
    groups: tuple[int, ...]


class Identities:
    """Uids for environments and groups for code. Only for a server that runs as root.

    `killers`: (first, how many) ids that no environment ever has. Each nursery takes one by its
    pid (nursery.py, `kill_uid`): two that kill at the same time could kill each other by it.
    """

    def __init__(self) -> None:
        if _mapped(_GID_FIRST, _GID_COUNT, "uid") and _mapped(_GID_FIRST, _GID_COUNT, "gid"):
            self._first, self._count = _UID_FIRST, _UID_COUNT
            self._gid_first, self._gid_count = _GID_FIRST, _GID_COUNT
            self.killers = (_KILLERS_FIRST, _PIDS_MAX)
        else:
            self._first, self._count = _SMALL_FIRST, _SMALL_COUNT - _SMALL_KILLERS
            self._gid_first, self._gid_count = _SMALL_FIRST + _SMALL_COUNT, _SMALL_COUNT
            self.killers = (self._first + self._count, _SMALL_KILLERS)
        # Random, as several servers of one machine share the ids.
        self._next = secrets.randbelow(self._count)
        self._taken: set[int] = set()
        self._groups: dict[Path, int] = {}
        # A random start, so that a folder left by an earlier server is not in one of our groups.
        self._gid_next = secrets.randbelow(self._gid_count)

    def take(self) -> int:
        """A uid that nobody uses. Errors: LaunchError when all are taken."""
        for _ in range(self._count):
            uid = self._first + self._next
            self._next = (self._next + 1) % self._count
            if uid not in self._taken:
                self._taken.add(uid)
                return uid
        raise LaunchError("no user id is free for another environment")

    def give_back(self, uid: int) -> None:
        """The environment is gone, and all its processes with it."""
        self._taken.discard(uid)

    def admit(self, folder: Path) -> int:
        """The group of a code folder; sets owner and mode if they are not so yet."""
        gid = self._groups.get(folder)
        if gid is None:
            gid = self._gid_first + self._gid_next
            self._gid_next = (self._gid_next + 1) % self._gid_count
            self._groups[folder] = gid
        found = folder.stat()
        if found.st_uid != 0 or found.st_gid != gid or stat.S_IMODE(found.st_mode) != 0o750:
            os.chown(folder, 0, gid)
            folder.chmod(0o750)
        return gid


def _mapped(first: int, count: int, kind: str) -> bool:
    """Whether this user namespace has those ids."""
    try:
        lines = Path(f"/proc/self/{kind}_map").read_text(encoding="ascii").splitlines()
    except OSError:
        return True
    ranges = [(int(start), int(size)) for start, _, size in (line.split() for line in lines)]
    return any(start <= first and first + count <= start + size for start, size in ranges)


class Folders:
    """This server's sandbox folder. Makes it at once; `close` removes it.

    Errors: LaunchError when no folder can be made that environments could reach.
    """

    def __init__(self, parent: Path | None, *, as_other_user: bool) -> None:
        self._as_other_user = as_other_user
        self._checked: set[Path] = set()
        parents = [parent] if parent else [Path("/var/tmp"), Path(tempfile.gettempdir())]  # noqa: S108
        self.parent = next((p for p in parents if self._fits(p)), None) or _no_parent(parents)
        self.root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=self.parent))
        self._lock = os.open(self.root / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.code, self.runtime, self.env = (self.root / n for n in ("code", "runtime", "env"))
        for folder in (self.code, self.runtime, self.env):
            folder.mkdir()
            folder.chmod(0o711)
        self.runtime.chmod(0o755)
        if NODE_BOOTSTRAP.exists():
            shutil.copyfile(NODE_BOOTSTRAP, self.runtime / NODE_BOOTSTRAP.name)
            (self.runtime / NODE_BOOTSTRAP.name).chmod(0o644)
        self.root.chmod(0o711)

    def _fits(self, parent: Path) -> bool:
        if not os.access(parent, os.W_OK | os.X_OK):
            return False
        return not self._as_other_user or reachable(parent / "x")

    def check(self, folder: Path) -> None:
        """That environments can get at `folder`. Errors: LaunchError."""
        if not folder.is_dir():
            raise LaunchError(f"{folder} is not a folder")
        if not self._as_other_user or folder.parent in self._checked:
            return
        if not reachable(folder):
            raise LaunchError(
                f"environments run as an unprivileged user, who cannot reach {folder}: a folder "
                f"above it is closed to others; unpack code below {self.code}"
            )
        self._checked.add(folder.parent)

    def make_private(self, name: str, uid: int | None) -> Path:
        """The /tmp of one environment."""
        folder = self.env / f"{name}-{secrets.token_hex(8)}"
        folder.mkdir(0o700)
        if uid is not None:
            os.chown(folder, uid, uid)
        return folder

    def make_mountpoint(self) -> Path:
        """An empty folder for a nursery to mount its root on."""
        return Path(tempfile.mkdtemp(prefix="root-", dir=self.root))

    def abandoned(self) -> Iterator[Path]:
        """Folders beside ours whose server is gone."""
        for folder in self.parent.glob(PREFIX + "*"):
            with suppress(OSError):
                if folder == self.root or folder.stat().st_uid != os.getuid():
                    continue
                lock = os.open(folder / "lock", os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    yield folder
                finally:
                    os.close(lock)

    def sweep(self) -> None:
        """Remove what killed servers left behind; for a worker thread."""
        for folder in self.abandoned():
            remove(folder)

    def close(self) -> None:
        """Remove everything; for a worker thread."""
        remove(self.root)
        os.close(self._lock)


def _no_parent(parents: list[Path]) -> Path:
    names = " or ".join(map(str, parents))
    raise LaunchError(
        f"{names}: not a folder that this server can write and environments can enter"
    )


def remove(folder: Path) -> None:
    """Remove a folder whatever modes its owner left inside; what resists is left for the sweep."""
    if os.getuid() != 0:
        for path, _, _ in os.walk(folder):
            with suppress(OSError):
                os.chmod(path, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def hand_over(folder: Path, uid: int | None) -> None:
    """Give a folder and what its last owner left in it to another user; on a worker thread.

    Safe against links: nothing runs under the old user any more, and links are not followed.
    """
    if uid is None:
        return
    for path, folders, files in os.walk(folder):
        for name in (*folders, *files):
            with suppress(OSError):
                os.chown(os.path.join(path, name), uid, uid, follow_symlinks=False)
    os.chown(folder, uid, uid, follow_symlinks=False)
