"""The layers that a guest's tree is made of: the keeper makes them (layers.py), and the guest mounts them."""

from __future__ import annotations

import posix
from collections.abc import Callable, Sequence

from ...files import base
from ...system import kernel, mounts
from ...system.descriptors import hide
from . import renames


class Stack:
    """`layer`: a descriptor of the private layer, which is written to."""

    def __init__(self, layer: int) -> None:
        self.layer = hide(layer)
        self.depth = 0

    def stand_on(
        self, layers: Sequence[int], depth: int, ready: Callable[[str], None] = lambda prefix: None
    ) -> int:
        """The jail's other mounts move along; the content of shared memory is in the tree."""
        overlay, layer = layers
        try:
            with kernel.able_to_move():
                before = mounts.make_root(overlay, {"/dev/shm": base.SHARED_MEMORY}, ready)
        except OSError:
            posix.close(layer)
            raise
        finally:
            posix.close(overlay)
        posix.close(self.layer)
        self.layer = hide(layer)
        self.depth = depth
        renames.install()
        return before
