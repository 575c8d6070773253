"""What keeps this machine from running microVMs, found by trying; for `auto` and `lambent doctor`.

`lacking` is what even software emulation needs. `why_not` is why `auto` may not choose the level:
it needs a KVM under which a guest answers in time, because an openable /dev/kvm proves nothing.
"""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from lambent.sandbox.box import LaunchError
from lambent.sandbox.microvm.image import Image, ImageError, load
from lambent.sandbox.microvm.machine import missing_programs
from lambent.sandbox.microvm.snapshots import Snapshots

IMAGE_FOLDER = ".cache/lambent/microvm"
"""Where the image is looked for below the home folder, unless another place is named."""
_KVM = Path("/dev/kvm")


def lacking(image: Path, search_path: str) -> list[str]:
    """Programs and the image, with what to do about each; empty if the level can run at all."""
    reasons = missing_programs(search_path)
    try:
        load(image)
    except ImageError as error:
        reasons.append(str(error))
    return reasons


async def kvm_fault(image: Image) -> str:
    """Why KVM cannot be used; empty if a guest answered in time."""
    if not os.access(_KVM, os.R_OK | os.W_OK):
        return f"{_KVM} is not there or not open to this user"
    trial = Snapshots(image, "kvm")
    try:
        await trial.get(1, None)  # this server's own guest, under its own user
    except LaunchError as error:
        return str(error)
    finally:
        await trial.close()
    if os.getuid() == 0 and _KVM.stat().st_mode & 0o060 != 0o060:
        return f"{_KVM} is not open to its group, so to no user that machines could run as"
    return ""


@cache
def why_not(image: Path, search_path: str) -> str:
    """Why `auto` may not choose this level; empty if it may. Takes at most some seconds.

    For a caller without a loop, or inside one: the trial has a thread and a loop of its own.
    """
    if reasons := lacking(image, search_path):
        return "; ".join(reasons)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(kvm_fault(load(image)))).result()
