"""Anthropic's text editor tool, as a program for the sandbox that prints the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = frozenset({"str_replace_based_edit_tool", "str_replace_editor", "text_editor_code_execution"})

# What each command needs, and what it may have.
_FIELDS: dict[str, tuple[dict[str, type], dict[str, type]]] = {
    "view": ({"path": str}, {"view_range": list}),
    "create": ({"path": str, "file_text": str}, {}),
    "str_replace": ({"path": str, "old_str": str}, {"new_str": str}),
    "insert": ({"path": str, "insert_line": int}, {"insert_text": str, "new_str": str}),
}

# It runs in its own globals, so that it neither sees nor leaves a name in the sandbox's REPL.
_PROGRAM = """
import os, sys

def view(path, view_range=None):
    if os.path.isdir(path):
        found = [path]
        for folder, folders, files in os.walk(path):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            found += sorted(os.path.join(folder, name) for name in folders + files if not name.startswith("."))
            if os.path.relpath(folder, path) != ".":
                folders.clear()
        return "\\n".join(found)
    lines = read(path).split("\\n")
    if lines[-1] == "" and len(lines) > 1:
        lines.pop()
    first, last = view_range or (1, -1)
    if last == -1:
        last = len(lines)
    if not 1 <= first <= last <= len(lines):
        raise ValueError(f"view_range {view_range}: the file has lines 1 to {len(lines)}")
    return "\\n".join(f"{number:6}\\t{lines[number - 1]}" for number in range(first, last + 1))

def create(path, file_text):
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    write(path, file_text)
    return f"{path} has been written."

def str_replace(path, old_str, new_str=""):
    text = read(path)
    found = text.count(old_str)
    if found != 1:
        which = "does not appear" if not found else f"appears {found} times, and must be unique,"
        raise ValueError(f"old_str {which} in {path}; nothing was replaced")
    write(path, text.replace(old_str, new_str))
    return f"{path} has been edited."

def insert(path, insert_line, insert_text="", new_str=""):
    lines = read(path).splitlines(keepends=True)
    if not 0 <= insert_line <= len(lines):
        raise ValueError(f"insert_line {insert_line}: it must be from 0 to {len(lines)}")
    inserted = insert_text or new_str
    if insert_line < len(lines) and not inserted.endswith("\\n"):
        inserted += "\\n"
    if insert_line and not lines[insert_line - 1].endswith("\\n"):
        lines[insert_line - 1] += "\\n"
    lines.insert(insert_line, inserted)
    write(path, "".join(lines))
    return f"{path} has been edited."

# newline="": what is not edited stays as it is.
def read(path):
    with open(path, encoding="utf-8", newline="") as file:
        return file.read()

def write(path, text):
    with open(path, "w", encoding="utf-8", newline="") as file:
        file.write(text)

try:
    print({"view": view, "create": create, "str_replace": str_replace, "insert": insert}[command](**fields))
except (OSError, ValueError) as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""


def program(tool_input: Mapping[str, Any]) -> str:
    """Python that does what the model has asked for.

    Raises ValueError, in words for the model, if the input is none of the tool's.
    """
    command = tool_input.get("command")
    if not isinstance(command, str) or command not in _FIELDS:
        raise ValueError(f"the command must be one of {', '.join(_FIELDS)}, not {command!r}")
    required, optional = _FIELDS[command]
    fields = {name: tool_input[name] for name in {**required, **optional} if tool_input.get(name) is not None}
    for name, kind in required.items():
        if name not in fields:
            raise ValueError(f"{command} needs {name!r}, a value of type {kind.__name__}")
    for name, value in fields.items():
        kind = {**required, **optional}[name]
        if not isinstance(value, kind):
            raise ValueError(f"{name!r} must be of type {kind.__name__}, not {value!r}")
    span = fields.get("view_range", [1, -1])
    if len(span) != 2 or not all(isinstance(line, int) for line in span):
        raise ValueError(f"'view_range' must be two line numbers, not {span!r}")
    # In ASCII: what stands in it may hold lone surrogates.
    names = {"command": command, "fields": fields}
    return f"__import__('builtins').exec({_PROGRAM!a}, {names!a})"
