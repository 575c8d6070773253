"""The frequency of this processor's time-stamp counter, which an emulated guest must be told.

Under emulation a guest reads the host's counter, but measures its frequency against an emulated
timer; when the host is busy that fails (one boot of eight on a loaded machine here) and the guest
then waits for ever or runs on a clock of 4 ms ticks. Python cannot read the counter, so this runs
the one instruction that does.
"""

import ctypes
import mmap
import platform
import statistics
import threading
import time
from functools import cache

_READ = bytes.fromhex("0f31 48c1e220 4809d0 c3")  # rdtsc; shl rdx,32; or rax,rdx; ret
_SAMPLES, _SAMPLE_S = 5, 0.01


@cache
def khz() -> int:
    """Thousands of ticks a second, to about 20 ppm; 0 where it cannot be measured. Takes 50 ms."""
    if platform.machine() != "x86_64":
        return 0
    try:
        page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    except OSError:  # a kernel that forbids it
        return 0
    page.write(_READ)
    read = ctypes.CFUNCTYPE(ctypes.c_uint64)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    pause = threading.Event()
    samples = []
    for _ in range(_SAMPLES):
        ticks, began_ns = read(), time.monotonic_ns()
        pause.wait(_SAMPLE_S)
        ticks, took_ns = read() - ticks, time.monotonic_ns() - began_ns
        samples.append(ticks * 1_000_000 / took_ns)
    return round(float(statistics.median(samples)))
