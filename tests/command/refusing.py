"""`python refusing.py ERRNO CALL... -- PROGRAM ARGUMENT...`: runs a program whose kernel refuses these system calls.

As Docker does by default: a seccomp filter, which needs no privilege. Linux on x86-64 and ARM 64.
"""

import ctypes
import errno
import os
import struct
import sys

NUMBERS = {
    "x86_64": {"mount": 165, "unshare": 272, "seccomp": 317, "landlock_create_ruleset": 444},
    "aarch64": {"mount": 40, "unshare": 97, "seccomp": 277, "landlock_create_ruleset": 444},
}
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
REFUSE, ALLOW = 0x00050000, 0x7FFF0000
SET_NO_NEW_PRIVS, SET_SECCOMP, FILTER = 38, 22, 2


def instruction(code: int, value: int, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("HBBI", code, then, otherwise, value)


def main() -> None:
    division = sys.argv.index("--")
    name, *calls = sys.argv[1:division]
    program = sys.argv[division + 1 :]
    numbers = NUMBERS[os.uname().machine]
    lines = [instruction(LOAD, 0)]  # the call's number
    for call in calls:
        lines += [
            instruction(JUMP_IF_EQUAL, numbers[call], 0, 1),
            instruction(RETURN, REFUSE | getattr(errno, name)),
        ]
    lines.append(instruction(RETURN, ALLOW))
    code = ctypes.create_string_buffer(b"".join(lines))
    head = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(lines), ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(head), 0, 0):
        raise OSError(ctypes.get_errno(), "the kernel has no seccomp filters")
    os.execvp(program[0], program)


main()
