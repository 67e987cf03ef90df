"""What the trees of jails are made of: layers, of which a jail writes to its own and shares the others below it.

A layer that is shared is never written to again. It goes with the last jail that stands on it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...files import removal
from ...system import kernel, mounts

_PASSING = "passing"  # no jail's name, and no layer's
MOST = 64  # in one stack: looking for a name asks each of them


class Layers:
    """Those in a directory. `base`: other directories, which are the lowest of every stack, the top one first."""

    def __init__(self, place: str, base: Sequence[str]) -> None:
        self._place = place
        self._base = base
        self._stacks: dict[str, list[str]] = {}  # jail -> its layers, the one that it writes to first
        self._held: dict[str, list[str]] = {}  # jail -> all that it ever stood on
        self._made = 0
        os.mkdir(f"{place}/{_PASSING}")

    def missing(self) -> str:
        """Why this kernel cannot have one over another as `branch` makes them; "" where it can."""
        jails = ("probe", "probes-child")
        try:
            for jail in jails:
                self.begin(jail)
            for number in self.branch(*jails[:1], jails[1:], freeze=True):
                os.close(number)
        except OSError as error:
            return str(error)
        finally:
            place = os.open(self._place, os.O_RDONLY | os.O_DIRECTORY)
            for layer in [layer for jail in jails for layer in self.let_go(jail)]:
                removal.remove(place, layer)
            os.close(place)
        return ""

    def begin(self, jail: str) -> str:
        """A stack of one for a new jail; returns the options to mount it with."""
        self._stacks[jail] = []
        self._held[jail] = []
        self._add(jail, [])
        return mounts.overlay_options(*self._parts(jail))

    def branch(self, parent: str, children: Sequence[str], *, freeze: bool) -> list[int]:
        """Stacks for the children over what the parent stands on.

        `freeze`: the layer that the parent writes to is shared too, and the parent has another over it; it has to take
        that, or to `stay`. Returns two descriptors for each jail that has a new stack, the parent first: the overlay,
        and the layer that is written to. Raises OSError, having changed nothing.
        """
        before = {jail: [*self._stacks[jail]] for jail in (parent, *children)}
        opened: list[int] = []
        try:
            if freeze:
                self._add(parent, before[parent])
                opened += self._open(parent)
            for child in children:
                self._add(child, before[parent] if freeze else before[parent][1:])
                opened += self._open(child)
        except OSError:
            self._stacks |= before
            for number in opened:
                os.close(number)
            raise
        return opened

    def stay(self, parent: str) -> None:
        """The parent has not taken its new stack, and the children have ended or will end."""
        self._stacks[parent].pop(0)

    def has(self, jail: str) -> bool:
        return jail in self._stacks

    def depth(self, jail: str) -> int:
        """How many layers it shares, or could."""
        return len(self._stacks[jail]) - 1

    def upper(self, jail: str) -> str:
        """The directory of the layer that it writes to."""
        return self._parts(jail)[1]

    def let_go(self, jail: str) -> list[str]:
        """The jail has ended: the layers that nobody stands on any more, by their names in the directory."""
        self._stacks.pop(jail, None)
        mine = self._held.pop(jail, [])
        needed = {layer for held in self._held.values() for layer in held}
        return [layer for layer in mine if layer not in needed]

    def is_empty(self, layer: str) -> bool:
        return not os.listdir(f"{self._place}/{layer}/upper")

    def _add(self, jail: str, below: Sequence[str]) -> None:
        self._made += 1
        layer = f"L{self._made}"
        for kind in ("", "/upper", "/work"):
            os.mkdir(f"{self._place}/{layer}{kind}")
        self._stacks[jail] = [layer, *below]
        self._held[jail] = [layer, *below, *(held for held in self._held[jail] if held not in below)]

    def _parts(self, jail: str) -> tuple[list[str], str, str]:
        """Directories: the lower ones, the one that is written to, and the one that the kernel works in."""
        top, *below = (f"{self._place}/{layer}" for layer in self._stacks[jail])
        return [*(f"{layer}/upper" for layer in below), *self._base], f"{top}/upper", f"{top}/work"

    def _open(self, jail: str) -> list[int]:
        new = mounts.overlay(*self._parts(jail), f"{self._place}/{_PASSING}")
        try:
            return [new, kernel.detached(self.upper(jail))]
        except OSError:
            os.close(new)
            raise
