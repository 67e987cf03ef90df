"""The environment of a sandbox's processes, built from scratch: the host's variables must not reach them."""

from __future__ import annotations

import os

from ..files import base

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# Large blocks go on huge pages: forking an interpreter with 1 GB of arrays then takes 0.7 ms instead of 17 ms.
_ZYGOTE_ONLY = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

# Files in a sandbox's /etc: a user made by `useradd` gets a group, and `su` asks nobody for a password.
ACCOUNTS = {
    "login.defs": "USERGROUPS_ENAB yes\n",
    "pam.d/other": "".join(
        f"{kind} required pam_permit.so\n" for kind in ("auth", "account", "password", "session")
    ),
}

# Where the interpreter's shared library is, if it does not find it by itself: the zygote was started with this.
_LIBRARY = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}


def of_sandbox(root: str) -> dict[str, str]:
    """`root` is "" if absolute paths mean the sandbox's files, else the host directory that holds the sandbox."""
    return {
        **_LIBRARY,
        "HOME": f"{root}/root",
        "LANG": "C.UTF-8",
        "LOGNAME": "root",
        "MPLBACKEND": "Agg",  # there is no screen
        # Several sandboxes compute at once on a machine: if waiting threads spin, work takes ten times as long.
        "OMP_WAIT_POLICY": "PASSIVE",
        "OPENBLAS_NUM_THREADS": "1",  # otherwise numpy starts threads when it is loaded, which a fork's child lacks
        "PATH": f"{root}{base.STUBS}:{root}{base.VENV}/bin:{SYSTEM_PATH}",
        "SHELL": "/bin/bash",
        "TERM": "dumb",
        "USER": "root",
    }


def of_zygote(root: str, library: str = "") -> dict[str, str]:
    """`library`: where the interpreter's shared library is, "" if it finds that by itself."""
    return {**of_sandbox(root), **_ZYGOTE_ONLY, **({"LD_LIBRARY_PATH": library} if library else {})}
