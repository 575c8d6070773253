"""Snapshots: sizes, sharing, and sealed memory."""

import fcntl
import os

import pytest

from lambent.sandbox.microvm.snapshots import OVERHEAD_MIB, STEPS_MIB, step
from tests.sandbox.microvm.support import MicrovmBench


@pytest.mark.parametrize(("asked", "got"), [(128, 128), (129, 256), (1769, 1769), (10240, 10240)])
def test_memory_is_rounded_up_to_a_step(asked: int, got: int) -> None:
    assert step(asked) == got
    assert list(STEPS_MIB) == sorted(STEPS_MIB)


def test_nobody_can_write_what_others_read(bench: MicrovmBench) -> None:
    async def work(bench: MicrovmBench) -> None:
        snapshots = await bench.sandbox.snapshots()
        one = await snapshots.get(200, None)
        assert await snapshots.get(256, None) is one
        assert one.memory_mib > 256 + OVERHEAD_MIB
        seals = fcntl.fcntl(one.memory, fcntl.F_GET_SEALS)
        assert seals & fcntl.F_SEAL_WRITE
        with pytest.raises(PermissionError):
            os.pwrite(one.memory, b"x", 0)
        assert one.python[:2] == bench.sandbox.image().python[:2]

    bench.run(work)
