"""Draws trees in text, one line for each node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def draw(roots: Sequence[str], children: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Each node, from the roots down, after the lines and branches to draw before it.

    Works without recursion, as a chain of forks, or of folders, may be deeper than Python's limit.
    """
    drawn: list[tuple[str, str]] = []
    # What to draw before the node, and before its descendants.
    waiting = [("", "", root) for root in reversed(roots)]
    while waiting:
        before, below, node = waiting.pop()
        drawn.append((before, node))
        inner = children.get(node, ())
        for number, child in enumerate(reversed(inner)):
            branch, line = ("├── ", "│   ") if number else ("└── ", "    ")
            waiting.append((below + branch, below + line, child))
    return drawn
