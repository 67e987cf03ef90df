"""Root emulation: changes of owner, groups and ids that the kernel would refuse succeed without effect.

A sandbox's root has only one user and one group, and the kernel answers EINVAL or EPERM for any other. So `tar`,
`rsync`, `cp -a`, `chown` and `su` would fail: as root they expect to change the owner of files, or their own user. A
seccomp filter answers instead of the kernel, for this process and everything it starts. Linux on x86-64 and ARM 64.

The filter sees numbers, not what a pointer leads to. So a change to a foreign id succeeds even if the file does not
exist, and nothing records it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

from . import kernel

_SET_MODE_FILTER = 1
_SPEC_ALLOW = 1 << 2  # without the mitigation that slows every process down; Linux 4.17
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER_AT, _ARCHITECTURE_AT, _ARGUMENTS_AT = 0, 4, 16  # in struct seccomp_data
_ALLOW, _SUCCEED = 0x7FFF0000, 0x00050000  # _SUCCEED: fail with errno 0
_UNCHANGED = 0xFFFFFFFF  # -1: leave this id as it is

# Machine -> the architecture's number in seccomp, the number of the call seccomp, and those of the calls below.
_MACHINES = {
    "x86_64": (0xC000003E, 317, (92, 94, 93, 260, 105, 113, 117, 106, 114, 119, 116)),
    "aarch64": (0xC00000B7, 277, (None, None, 55, 54, 146, 145, 147, 144, 143, 149, 159)),
}

# For each call: which arguments are users, and which are groups.
_CALLS = {
    "chown": ((1,), (2,)),
    "lchown": ((1,), (2,)),
    "fchown": ((1,), (2,)),
    "fchownat": ((2,), (3,)),
    "setuid": ((0,), ()),
    "setreuid": ((0, 1), ()),
    "setresuid": ((0, 1, 2), ()),
    "setgid": ((), (0,)),
    "setregid": ((), (0, 1)),
    "setresgid": ((), (0, 1, 2)),
    "setgroups": None,  # always succeeds: the groups are in memory, which a filter cannot read
}


def begin() -> None:
    """Starts the emulation, for good. The kernel still decides about changes to this process's own user and group.

    Call it before any other thread is started: running threads stay without the filter. It takes CAP_SYS_ADMIN in the
    process's user namespace, or `no_new_privs`.

    Raises:
        OSError: nothing has changed, because the filter does not support this machine, or the kernel refused.
    """
    machine = os.uname().machine
    if machine not in _MACHINES or struct.calcsize("P") != 8:
        raise OSError(errno.ENOSYS, f"no filter is known for {machine}")
    _, seccomp, _ = _MACHINES[machine]
    instructions = b"".join(_instructions())
    program = ctypes.create_string_buffer(instructions, len(instructions))
    header = struct.pack("@HP", len(instructions) // 8, ctypes.addressof(program))
    arguments = map(ctypes.c_ulong, (seccomp, _SET_MODE_FILTER, _SPEC_ALLOW))
    if kernel.libc.syscall(*arguments, header):
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp: {os.strerror(number)}")


def is_needed() -> bool:
    """Whether the kernel refuses ids: to everybody but root, and to the root of a user namespace with few ids."""
    if os.geteuid() != 0:
        return True
    with open("/proc/self/uid_map", encoding="ascii") as file:
        return sum(int(line.split()[2]) for line in file) < 1 << 16


def _instructions() -> Iterator[bytes]:
    architecture, _, numbers = _MACHINES[os.uname().machine]
    yield _instruction(_LOAD, _ARCHITECTURE_AT)
    yield _instruction(_JUMP_IF_EQUAL, architecture, then=1)
    yield _instruction(_RETURN, _ALLOW)  # a program of 32 bits
    yield _instruction(_LOAD, _NUMBER_AT)
    for number, arguments in zip(numbers, _CALLS.values(), strict=True):
        if number is not None:
            answer = list(_answer(arguments))
            yield _instruction(_JUMP_IF_EQUAL, number, otherwise=len(answer))
            yield from answer
    yield _instruction(_RETURN, _ALLOW)


def _answer(arguments: tuple[tuple[int, ...], tuple[int, ...]] | None) -> Iterator[bytes]:
    """Succeed, unless all ids in these arguments are known to the kernel."""
    if arguments is None:
        yield _instruction(_RETURN, _SUCCEED)
        return
    for positions, own in zip(arguments, (os.getuid(), os.getgid()), strict=True):
        for position in positions:
            # The lower half: both architectures are little-endian.
            yield _instruction(_LOAD, _ARGUMENTS_AT + 8 * position)
            yield _instruction(_JUMP_IF_EQUAL, own, then=2)
            yield _instruction(_JUMP_IF_EQUAL, _UNCHANGED, then=1)
            yield _instruction(_RETURN, _SUCCEED)
    yield _instruction(_RETURN, _ALLOW)


def _instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    """`then` and `otherwise`: how many instructions a jump skips."""
    return struct.pack("=HBBI", code, then, otherwise, value)
