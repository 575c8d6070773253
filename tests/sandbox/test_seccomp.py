"""The filter program, run by an interpreter of its own; and by the kernel in test_hostile.py."""

import errno
import struct

import pytest

from lambent.sandbox.seccomp import DENIED, filter_program

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003
ALLOW, KILL = 0x7FFF_0000, 0x8000_0000
EPERM = 0x0005_0000 | errno.EPERM
ENOSYS = 0x0005_0000 | errno.ENOSYS
EAFNOSUPPORT = 0x0005_0000 | errno.EAFNOSUPPORT
SIGCHLD, NEWUSER, NEWNET = 17, 0x1000_0000, 0x4000_0000


def verdict(machine: str, arch: int, number: int, *arguments: int) -> int:
    """What the kernel would answer: a small interpreter of the instructions that are used."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    program = filter_program(machine)
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    at = value = 0
    while True:
        operation, if_true, if_false, k = code[at]
        at += 1
        match operation:
            case 0x20:
                value = struct.unpack_from("=I", data, k)[0]
            case 0x15:
                at += if_true if value == k else if_false
            case 0x35:
                at += if_true if value >= k else if_false
            case 0x45:
                at += if_true if value & k else if_false
            case 0x06:
                return int(k)
            case _:
                raise AssertionError(operation)


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", X86_64), ("aarch64", AARCH64)])
def test_what_is_denied_and_what_is_not(machine: str, arch: int) -> None:
    column = 0 if machine == "x86_64" else 1
    numbers = [n for both in DENIED.values() if (n := both[column]) is not None]
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        assert verdict(machine, arch, number) == EPERM
    clone, socket, ioctl = ((56, 41, 16), (220, 198, 29))[column]
    assert verdict(machine, arch, 435) == ENOSYS
    assert verdict(machine, arch, clone, SIGCHLD) == ALLOW
    assert verdict(machine, arch, clone, SIGCHLD | NEWUSER) == EPERM
    assert verdict(machine, arch, clone, NEWNET) == EPERM
    assert verdict(machine, arch, ioctl, 1, 0x5412) == EPERM
    assert verdict(machine, arch, ioctl, 1, 0x5401) == ALLOW
    for family in (1, 2, 10):
        assert verdict(machine, arch, socket, family, 1, 0) == ALLOW
    assert verdict(machine, arch, socket, 16, 3, 0) == ALLOW
    assert verdict(machine, arch, socket, 16, 3, 12) == EAFNOSUPPORT
    for family in (17, 38, 40, 44):  # packet, alg, vsock, xdp
        assert verdict(machine, arch, socket, family, 3, 0) == EAFNOSUPPORT
    assert verdict(machine, arch, 0) == ALLOW


def test_numbers_of_another_instruction_set() -> None:
    assert verdict("x86_64", I386, 21) == KILL
    assert verdict("x86_64", X86_64, 0x4000_0000 | 101) == ENOSYS
    assert verdict("aarch64", X86_64, 0) == KILL
    assert filter_program("riscv64") == b""
