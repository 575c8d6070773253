"""The system calls that no environment may make, as a seccomp filter program.

Classic BPF, assembled here (testable, typed) and handed to the nurseries as bytes, who only install
it. A list of what is denied rather than of what is allowed: functions run any program, and the list
names what reaches into the kernel's administration, other processes or other name spaces. Denied
calls fail (EPERM) instead of killing, so a library that tries and falls back goes on working.

`clone3` hides its flags in memory, where a filter cannot look: it answers ENOSYS, and every libc
then uses `clone`, whose flags are looked at. Another instruction set than the machine's own
(32-bit calls on a 64-bit kernel) would have other numbers: it kills.
Source: https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

import errno
import os
import struct

_X86_64, _AARCH64 = 0xC000003E, 0xC00000B7  # AUDIT_ARCH_*
_X32_BIT = 0x4000_0000

_ALLOW, _ERRNO, _KILL = 0x7FFF_0000, 0x0005_0000, 0x8000_0000
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_SET, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER_AT, _ARCH_AT, _ARGUMENT_AT = 0, 4, 16  # in struct seccomp_data; arguments: low words

_NEW_NAMESPACES = 0x7E02_0000  # CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID and NET
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCKET_FAMILIES = (_AF_UNIX, _AF_INET, _AF_INET6)

DENIED: dict[str, tuple[int | None, int | None]] = {
    # mounts and roots
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "fanotify_init": (300, 262),
    # name spaces
    "unshare": (272, 97),
    "setns": (308, 268),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    # other processes
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # keyrings
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    # parts of the kernel with a history
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "lookup_dcookie": (212, 18),
    "vmsplice": (278, 75),
    "modify_ldt": (154, None),
    "uselib": (134, None),
    "ustat": (136, None),
    "sysfs": (139, None),
    "personality": (135, 92),
    # the machine
    "reboot": (169, 142),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "acct": (163, 89),
    "syslog": (103, 116),
    "vhangup": (153, 58),
    "iopl": (172, None),
    "ioperm": (173, None),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "clock_adjtime": (305, 266),
    "adjtimex": (159, 171),
}
"""System calls by name: their numbers on x86_64 and on aarch64."""

_CLONE, _CLONE3, _SOCKET, _IOCTL = (56, 220), (435, 435), (41, 198), (16, 29)


def filter_program(machine: str = "") -> bytes:
    """The filter for `machine` (os.uname's word; default this one) as `struct sock_filter`s.

    Empty for a machine whose system call numbers are not known here.
    """
    machine = machine or os.uname().machine
    if machine not in ("x86_64", "aarch64"):
        return b""
    column = 0 if machine == "x86_64" else 1
    denied = sorted(n for numbers in DENIED.values() if (n := numbers[column]) is not None)
    program = _Program()
    program.load(_ARCH_AT)
    program.unless_equal_return((_X86_64, _AARCH64)[column], _KILL)
    program.load(_NUMBER_AT)
    if machine == "x86_64":
        program.add(_JUMP_AT_LEAST, _X32_BIT, 0, 1)
        program.add(_RETURN, _ERRNO | errno.ENOSYS)
    for number in denied:
        program.if_equal_return(number, _ERRNO | errno.EPERM)
    program.if_equal_return(_CLONE3[column], _ERRNO | errno.ENOSYS)
    program.when(_CLONE[column], _deny_new_namespaces())
    program.when(_IOCTL[column], _deny_requests(_TIOCSTI, _TIOCLINUX))
    program.when(_SOCKET[column], _allow_families())
    program.add(_RETURN, _ALLOW)
    return program.bytes()


class _Program:
    """Instructions one after another; jumps skip what follows them."""

    def __init__(self) -> None:
        self._code: list[bytes] = []

    def add(self, code: int, value: int, if_true: int = 0, if_false: int = 0) -> None:
        self._code.append(struct.pack("=HBBI", code, if_true, if_false, value))

    def load(self, offset: int) -> None:
        self.add(_LOAD, offset)

    def unless_equal_return(self, value: int, action: int) -> None:
        self.add(_JUMP_EQUAL, value, 1, 0)
        self.add(_RETURN, action)

    def if_equal_return(self, value: int, action: int) -> None:
        self.add(_JUMP_EQUAL, value, 0, 1)
        self.add(_RETURN, action)

    def when(self, number: int, then: "_Program") -> None:
        """`then`, which returns in every case, for system call `number`."""
        self.add(_JUMP_EQUAL, number, 0, len(then._code))
        self._code += then._code

    def bytes(self) -> bytes:
        return b"".join(self._code)


def _deny_new_namespaces() -> _Program:
    body = _Program()
    body.load(_ARGUMENT_AT)
    body.add(_JUMP_SET, _NEW_NAMESPACES, 0, 1)
    body.add(_RETURN, _ERRNO | errno.EPERM)
    body.add(_RETURN, _ALLOW)
    return body


def _deny_requests(*requests: int) -> _Program:
    body = _Program()
    body.load(_ARGUMENT_AT + 8)
    for request in requests:
        body.if_equal_return(request, _ERRNO | errno.EPERM)
    body.add(_RETURN, _ALLOW)
    return body


def _allow_families() -> _Program:
    """Unix and internet sockets, and of netlink the part that lists addresses (getaddrinfo)."""
    body = _Program()
    body.load(_ARGUMENT_AT)
    for family in _SOCKET_FAMILIES:
        body.if_equal_return(family, _ALLOW)
    body.unless_equal_return(_AF_NETLINK, _ERRNO | errno.EAFNOSUPPORT)
    body.load(_ARGUMENT_AT + 16)
    body.if_equal_return(0, _ALLOW)  # NETLINK_ROUTE
    body.add(_RETURN, _ERRNO | errno.EAFNOSUPPORT)
    return body
