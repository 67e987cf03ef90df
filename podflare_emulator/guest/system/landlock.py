"""Landlock: a process gives up writing outside the directories it names, for itself and everything it will start.

Under the portable backend this is the safety net: a path that escaped the mapping causes `Permission denied` instead
of damage to the machine. It needs no privilege and cannot be undone. Linux 5.13 and later.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
import sys
from collections.abc import Sequence

from . import kernel

# The same numbers on every architecture that Landlock supports: calls this new share one table.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH = 1

_WRITE_FILE = 1 << 1
_TRUNCATE = 1 << 14
_RIGHTS_BY_ABI = {
    # write to files; remove directories, files; make character devices, directories, files, sockets, fifos, block
    # devices, symbolic links
    1: sum(1 << bit for bit in (1, 4, 5, 6, 7, 8, 9, 10, 11, 12)),
    2: 1 << 13,  # rename and link from one directory to another; ABI 1 always refuses that
    3: _TRUNCATE,
}
# The kernel refuses a rule that gives a file the rights of a directory.
_RIGHTS_OF_A_FILE = _WRITE_FILE | _TRUNCATE

_SCOPES_SINCE = 6
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1 << 0, 1 << 1


def abi() -> int:
    """The version of Landlock that the kernel supports; 0 if it has none, or has it switched off."""
    if sys.platform != "linux":
        return 0
    version: int = _libc().syscall(_CREATE_RULESET, None, _size(0), _CREATE_RULESET_VERSION)
    return max(0, version)


def restrict_writes(allowed: Sequence[str], *, scope_signals: bool = True) -> int | None:
    """From now on this thread, and every thread and process it starts, may write only at and below `allowed`.

    Call it before any other thread is started: running threads keep their rights. Reading, files that are already
    open, and ioctls on devices are not restricted. Setuid programs lose their privilege (`no_new_privs`).

    Args:
        allowed: directories and single files; what does not exist is skipped.
        scope_signals: if the kernel can (ABI 6), also refuse signals to processes outside, and connections to their
            abstract Unix sockets. Outside means: not started by this process after the call.

    Returns:
        The ABI in force, or None if the kernel has no Landlock and nothing has been restricted.

    Raises:
        OSError: the kernel has Landlock, but refused.
    """
    version = abi()
    if version == 0:
        return None
    rights = sum(added for since, added in _RIGHTS_BY_ABI.items() if since <= version)
    scopes = _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL if scope_signals and version >= _SCOPES_SINCE else 0
    libc = _libc()
    ruleset = _ruleset(rights, scopes)
    try:
        for path in allowed:
            _allow(libc, ruleset, path, rights)
        kernel.give_up_new_privileges()
    except OSError:
        os.close(ruleset)
        raise
    enter(ruleset)
    return version


def abstract_socket_scope() -> int | None:
    """A ruleset for `enter`: abstract Unix sockets can be reached only from the domain that made them.

    None if the kernel cannot do that.
    """
    return None if abi() < _SCOPES_SINCE else _ruleset(0, _SCOPE_ABSTRACT_UNIX_SOCKET)


def enter(ruleset: int) -> None:
    """Applies a ruleset to this thread and everything it starts from now on; closes the descriptor.

    It takes CAP_SYS_ADMIN in the process's user namespace, or `no_new_privs`. With the former, setuid programs keep
    their privilege.
    """
    try:
        _check(_libc().syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)), "landlock_restrict_self")
    finally:
        os.close(ruleset)


def _ruleset(rights: int, scopes: int) -> int:
    """A descriptor of a new ruleset."""
    network = 0
    # An older kernel knows a shorter struct, and accepts a longer one only if the rest is zero.
    attributes = struct.pack("=QQQ", rights, network, scopes) if scopes else struct.pack("=Q", rights)
    created = _libc().syscall(_CREATE_RULESET, attributes, _size(len(attributes)), ctypes.c_uint32(0))
    return _check(created, "landlock_create_ruleset")


def _allow(libc: ctypes.CDLL, ruleset: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return
    try:
        if not os.path.isdir(path):
            rights &= _RIGHTS_OF_A_FILE
        rule = struct.pack("=Qi", rights, descriptor)
        _check(
            libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, ctypes.c_uint32(0)),
            f"landlock_add_rule for {path}",
        )
    finally:
        os.close(descriptor)


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    return libc


_size = ctypes.c_size_t


def _check(result: int, call: str) -> int:
    if result < 0:
        number = ctypes.get_errno() or errno.EPERM
        raise OSError(number, f"{call}: {os.strerror(number)}")
    return result
