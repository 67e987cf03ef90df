"""/proc/meminfo of a sandbox with `ram_mib`: a file mounted over the kernel's, which describes the whole machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ...system import kernel

if TYPE_CHECKING:
    from collections.abc import Iterator

_KERNELS = "/proc/meminfo"
_PASSING = "/dev/shm"  # in the emulator's own root, which no guest sees
_OF_THE_MACHINE = ("Hugepagesize", "VmallocTotal", "DirectMap4k", "DirectMap2M", "DirectMap1G")
_FREE = ("MemFree", "MemAvailable")
_USED = ("Active", "Active(anon)", "AnonPages")


class Meminfo:
    """The family's init makes it, before there is a guest; raises OSError if the kernel has no such mounts (5.2).

    `mount`: a descriptor of the file, which the guest mounts. `ram_mib` is all the memory: no swap, and nothing is
    cached.
    """

    def __init__(self, ram_mib: int) -> None:
        self._total = ram_mib * 1024
        with open(_KERNELS, encoding="ascii") as file:
            self._lines = file.read().splitlines()
        kernel.mount("podflare", _PASSING, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=0755,size=64k")
        try:
            path = f"{_PASSING}/meminfo"
            self._file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o444)
            self._used = -1
            self.tell(0)
            self.mount = kernel.detached(path)
        finally:
            kernel.unmount(_PASSING)

    def tell(self, used: int) -> None:
        """Shows `used` bytes as used."""
        used = min(used // 1024, self._total)
        if used != self._used:
            self._used = used
            os.pwrite(self._file, "".join(self._text()).encode(), 0)  # the text always has the same length

    def _text(self) -> Iterator[str]:
        known = {"MemTotal": self._total}
        known |= dict.fromkeys(_FREE, self._total - self._used) | dict.fromkeys(_USED, self._used)
        for line in self._lines:
            name, _, rest = line.partition(":")
            if name in _OF_THE_MACHINE:
                yield f"{line}\n"
            else:
                unit = " kB" if rest.endswith(" kB") else ""
                yield f"{name + ':':<15} {known.get(name, 0):>8}{unit}\n"


def lay(mount: int) -> None:
    """In the guest, for good: mounts the file."""
    kernel.attach(mount, _KERNELS)
