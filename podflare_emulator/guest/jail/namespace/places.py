"""Finds the layers that a jail has over places of the host's system."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def directory_of(place: str) -> str:
    return place.replace("/", "-")


def written(layers: int, places: Sequence[str]) -> Iterator[tuple[str, int]]:
    """The places that were written to, with descriptors of their layers. `layers`: a descriptor of their directory."""
    for place in places:
        layer = os.open(f"{directory_of(place)}/upper", _DIRECTORY, dir_fd=layers)
        if os.listdir(layer):
            yield place, layer
        else:
            os.close(layer)
