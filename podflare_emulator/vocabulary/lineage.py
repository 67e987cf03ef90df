"""The tree of a test's sandboxes: their forks, their merges, and how they ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from podflare_emulator.vocabulary.text_tree import draw

_SHORT = 12  # characters of an id


class Life(NamedTuple):
    """One sandbox.

    Attributes:
        parent: Id of the one that it was forked from, if it was.
        created, ended: ms since the epoch; `ended` is None while it is open.
        state: "died" if its interpreter has ended by itself, and `reason` says how; "merged" if it has won a merge,
            and `into` is the id that it has now; "expired" if its time was over, or "frozen" if it became a Space
            then, and `reason` says why.
        space: The Space that it was frozen into; `resumed`: the one that it was resumed from.
        execs: Number of its execs since the last reset.
    """

    sandbox: str
    parent: str | None
    template: str
    created: int
    ended: int | None
    state: Literal["open", "closed", "died", "merged", "expired", "frozen"]
    reason: str | None
    into: str | None
    execs: int
    space: str | None = None
    resumed: str | None = None

    def __str__(self) -> str:
        template = "" if self.template == "default" else f"{self.template}, "
        execs = f"{self.execs} exec{'' if self.execs == 1 else 's'}"
        return f"{self.sandbox[:_SHORT]}  {template}{self._became}, {execs}"

    @property
    def _became(self) -> str:
        if self.into:
            return f"merged into {self.into[:_SHORT]}"
        return f"{self.state} ({self.reason})" if self.reason else self.state


@dataclass(frozen=True)
class Tree:
    """`str` draws it in text, `mermaid` for a Markdown page. `sandboxes`: oldest first."""

    sandboxes: tuple[Life, ...]

    @classmethod
    def of(cls, lives: Iterable[dict[str, Any]]) -> Tree:
        return cls(tuple(Life(**life) for life in lives))

    def __str__(self) -> str:
        lives = {life.sandbox: life for life in self.sandboxes}
        roots: list[str] = []
        children: dict[str, list[str]] = {}
        for life in self.sandboxes:
            # The parent of one that was forked before the last reset is unknown.
            siblings = children.setdefault(life.parent, []) if life.parent in lives else roots
            siblings.append(life.sandbox)
        return "\n".join(f"{before}{lives[sandbox]}" for before, sandbox in draw(roots, children))

    def mermaid(self) -> str:
        """A flowchart: solid arrows are forks, dotted ones merges."""
        names = {life.sandbox: f"s{number}" for number, life in enumerate(self.sandboxes)}
        lines = ["flowchart TD"]
        for life in self.sandboxes:
            lines.append(f'    {names[life.sandbox]}["{str(life).replace("  ", "<br>", 1)}"]')
        for life in self.sandboxes:
            if life.parent in names:
                lines.append(f"    {names[life.parent]} --> {names[life.sandbox]}")
        for life in self.sandboxes:
            if life.into in names:
                lines.append(f"    {names[life.sandbox]} -. merged .-> {names[life.into]}")
        return "\n".join(lines)
