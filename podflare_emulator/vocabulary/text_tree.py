"""Trees in text, one line a node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def draw(roots: Sequence[str], children: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    """Of each node, from the roots down, the lines and branches that stand before it, and the node.

    However deep the tree is: a chain of forks, or of folders, may be longer than Python's recursion allows.
    """
    drawn: list[tuple[str, str]] = []
    waiting = [
        ("", "", root) for root in reversed(roots)
    ]  # what stands before it, and before what is below it
    while waiting:
        before, below, node = waiting.pop()
        drawn.append((before, node))
        inner = children.get(node, ())
        for number, child in enumerate(reversed(inner)):
            branch, line = ("├── ", "│   ") if number else ("└── ", "    ")
            waiting.append((below + branch, below + line, child))
    return drawn
