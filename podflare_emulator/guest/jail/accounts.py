"""The users and groups that a sandbox knows by name: root, and the host's system accounts, but no people."""

from __future__ import annotations

from collections.abc import Iterator

_FIRST_PERSON = 1000
_NOBODY = 65534
_NOBODYS_LINE = "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin"
_NOGROUPS_LINE = "nogroup:x:65534:"


def passwd(user: int = 0, group: int = 0) -> str:
    """The text of /etc/passwd; `user` and `group` are root's numbers.

    A host account with the same number keeps its name. A look-up by number finds root, which comes first.
    """
    lines = [f"root:x:{user}:{group}:root:/root:/bin/bash"]
    names = {"root"}
    for name, _, number, primary, comment, home, shell in _entries("/etc/passwd", 7):
        if _is_system(number):
            lines.append(f"{name}:x:{number}:{primary}:{comment}:{home}:{shell}")
            names.add(name)
    if "nobody" not in names:
        lines.append(_NOBODYS_LINE)
    return "\n".join(lines) + "\n"


def group(number: int = 0) -> str:
    """The text of /etc/group, without members; `number` is the number of root's group. Otherwise like `passwd`."""
    lines = [f"root:x:{number}:"]
    numbers = set()
    for name, _, own, _ in _entries("/etc/group", 4):
        if _is_system(own):
            lines.append(f"{name}:x:{own}:")
            numbers.add(int(own))
    if _NOBODY not in numbers:
        lines.append(_NOGROUPS_LINE)
    return "\n".join(lines) + "\n"


def _is_system(number: str) -> bool:
    return number.isdigit() and (0 < int(number) < _FIRST_PERSON or int(number) == _NOBODY)


def _entries(path: str, fields: int) -> Iterator[list[str]]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read().splitlines()
    except OSError:
        return
    for line in lines:
        entry = line.split(":")
        if len(entry) == fields:
            yield entry
