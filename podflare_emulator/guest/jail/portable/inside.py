"""The portable backend, inside: a sandbox's directory is a plain directory of the host, and paths are mapped to it.

The kernel helps only with Landlock, if it has that: code that escapes the mapping can read the host's files, but not
write them.
"""

from __future__ import annotations

import os
import site
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ...files import base
from .. import environment, plain
from . import mapping

if TYPE_CHECKING:
    from ...order import Order

_MARK = "PODFLARE_SANDBOX"
_ROOM = "jail/portable"


def build_base(order: Order) -> None:
    """Warden: builds the base tree."""
    import shutil  # not at the top, as in `settle`: guests have this module in memory

    from ...files import bytecode

    tree = f"{order.state}/base"
    base.build(
        tree,
        python=order.python.executable,
        version=order.python.version,
        path=order.python.path,
        pip=order.python.pip,
        seeds=order.seeds,
    )
    code = plain.guest_code()
    if any(bytecode.missing(f"{code}/{_ROOM}")):
        code = _copy(order)
        shutil.copytree(
            f"{plain.guest_code()}/{_ROOM}", f"{code}/{_ROOM}", ignore=shutil.ignore_patterns("__pycache__")
        )
    packages = tree + base.PACKAGES.format(version=order.python.version)
    mapping.write_boot(packages, code)
    # Otherwise the zygote would write it, between the first jails and the rest.
    for source in bytecode.missing(packages):
        bytecode.write(source)


def settle(order: Order) -> None:
    """Warden, beside the first sandboxes: compiles the copy, if there is one."""
    from ...files import bytecode

    for source in bytecode.missing(f"{_copy(order)}/{_ROOM}"):
        bytecode.write(source)


def _copy(order: Order) -> str:
    """Where the mapping's code lies for the Pythons of sandboxes, if it has no bytecode where it is installed.

    They write none and would compile it at each start. The directory may not be writable, or Python may have been told
    to write none; and the sandboxes' Python may be of another version than the emulator's.
    """
    return f"{order.state}/code"


def start_keeper(order: Order, run: Callable[[Callable[[], plain.Keep]], None]) -> tuple[int, None]:
    """Warden: forks the keeper."""
    python = f"{order.state}/base{base.VENV}/bin/python3"
    return plain.start_keeper(
        run,
        lambda: plain.Keep(
            order.state,
            executable=python,
            python=python,
            environment=environment.of_zygote(f"{order.state}/base"),
            shared=[*mapping.SYSTEM_DIRECTORIES, *plain.runtime(order), _copy(order)],
        ),
    )


class DirectoryJail:
    """The directory that this process's paths are mapped to."""

    mounts: frozenset[str] = frozenset()
    changes = None
    has_copier = True
    descriptors = ()
    written_over = staticmethod(plain.nothing_written_over)
    stack = None
    belongs = staticmethod(plain.Keep.belongs)

    def __init__(self, state: str, shared: Sequence[str]) -> None:
        self._state = state
        self._shared = shared
        self._place = plain.Whereabouts(_MARK)
        self.resolve = self._place.resolve

    @property
    def root(self) -> str:
        return self._place.tree

    @property
    def prefix(self) -> str:
        return self._place.tree

    def enter(self, tree: str, entrance: Sequence[int]) -> None:
        self._place.take(tree)
        self._map = mapping.PathMap(tree, self._shared)
        os.chdir(f"{tree}/root")
        plain.confine(self._state)
        mapping.activate(self._map)
        venv = f"{self._state}/base{base.VENV}"
        sys.path[:] = [path.replace(venv, base.VENV) for path in sys.path]
        sys.prefix = sys.exec_prefix = base.VENV
        sys.executable = f"{base.VENV}/bin/python3"
        for name in ("USER_BASE", "USER_SITE"):  # they are in the zygote's home
            found = getattr(site, name)
            setattr(site, name, found and found.replace(f"{self._state}/base", ""))
        site.PREFIXES[:] = dict.fromkeys([base.VENV, *site.PREFIXES[1:]])

    def move(self, tree: str, entrance: Sequence[int]) -> None:
        self._place.take(tree)
        mapping.move(tree)

    def mark(self) -> str:
        return self._place.mark

    def script(self, code: str) -> str:
        return mapping.shell_command(code, self._map)

    def variables(self) -> dict[str, str]:
        """The environment that programs in the sandbox need to find the mapping."""
        return {
            **environment.of_sandbox(self.root),
            **mapping.bash_environment(self._map),
            **mapping.child_environment(self._map, plain.guest_code()),
            _MARK: self.root,
        }
