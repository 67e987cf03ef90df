"""The layers that jails' trees are made of: a jail writes to its own, and shares the others below it.

Once a layer is shared, nothing is written to it. It is removed with the last jail that stands on it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from ...files import removal
from ...system import kernel, mounts

_PASSING = "passing"  # cannot be the name of a jail or a layer
MOST = 64  # in one stack: looking up a name searches each of them


class Layers:
    """The layers in the directory `place`. `base`: the lowest directories of every stack, top one first."""

    def __init__(self, place: str, base: Sequence[str]) -> None:
        self._place = place
        self._base = base
        self._stacks: dict[str, list[str]] = {}  # jail -> its layers, the private one first
        self._held: dict[str, list[str]] = {}  # jail -> all layers that it has ever stood on
        self._made = 0
        os.mkdir(f"{place}/{_PASSING}")

    def missing(self) -> str:
        """Why this kernel cannot stack layers as `branch` does; "" if it can."""
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
        """Makes a stack of one layer for a new jail; returns the options to mount it with."""
        self._stacks[jail] = []
        self._held[jail] = []
        self._add(jail, [])
        return mounts.overlay_options(*self._parts(jail))

    def branch(self, parent: str, children: Sequence[str], *, freeze: bool) -> list[int]:
        """Makes stacks for the children over the parent's layers.

        `freeze`: the parent's private layer is shared too, and the parent gets a new one over it. It has to move to
        that stack, or to `stay`. Returns two descriptors for each jail that has a new stack, the parent first: the
        overlay, and its private layer. If it raises OSError, nothing has changed.
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
        """The parent has not moved to its new stack, and the children have ended or will end."""
        self._stacks[parent].pop(0)

    def has(self, jail: str) -> bool:
        return jail in self._stacks

    def depth(self, jail: str) -> int:
        """How many layers the jail shares, or could share."""
        return len(self._stacks[jail]) - 1

    def upper(self, jail: str) -> str:
        """The directory of the layer that the jail writes to."""
        return self._parts(jail)[1]

    def let_go(self, jail: str) -> list[str]:
        """Forgets a jail that has ended; returns the names of the layers that no jail stands on now."""
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
        """The directories of the overlay: lowerdirs, upperdir and workdir."""
        top, *below = (f"{self._place}/{layer}" for layer in self._stacks[jail])
        return [*(f"{layer}/upper" for layer in below), *self._base], f"{top}/upper", f"{top}/work"

    def _open(self, jail: str) -> list[int]:
        new = mounts.overlay(*self._parts(jail), f"{self._place}/{_PASSING}")
        try:
            return [new, kernel.detached(self.upper(jail))]
        except OSError:
            os.close(new)
            raise
