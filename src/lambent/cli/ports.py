"""Who holds a port: for an error that says what to do, not only what went wrong."""

import errno
from contextlib import suppress
from pathlib import Path


def explain_taken(host: str, port: int, error: OSError) -> str:
    """One sentence for a failed listen: the reason, the holder if it can be seen, the way out."""
    if error.errno == errno.EADDRINUSE:
        holder = _holder(port)
        who = f" by {holder}" if holder else ""
        return f"port {port} is already taken{who}: stop it, or choose another with --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs privileges: choose one above 1023 with --port"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"


def _holder(port: int) -> str:
    inodes = _listening_inodes(port)
    if not inodes:
        return ""
    for process in Path("/proc").glob("[0-9]*"):
        if inodes & _open_files(process):
            with suppress(OSError):
                return f"process {process.name} ({(process / 'comm').read_text().strip()})"
    return ""


def _open_files(process: Path) -> set[str]:
    """What its descriptors point at; those that are gone meanwhile or not ours to see left out."""
    found = set()
    with suppress(OSError):
        for link in (process / "fd").iterdir():
            with suppress(OSError):
                found.add(str(link.readlink()))
    return found


def _listening_inodes(port: int) -> set[str]:
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = Path(table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if fields[3] == "0A" and int(fields[1].rsplit(":", 1)[1], 16) == port:
                found.add(f"socket:[{fields[9]}]")
    return found
