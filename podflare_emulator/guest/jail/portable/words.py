"""Decides which words of a command name files; for shell commands and for argument lists in Python."""

from __future__ import annotations

import enum
import re


class Role(enum.Enum):
    PATH = enum.auto()  # a path, if it looks like one
    TEXT = enum.auto()  # data, even if it looks like a path
    SAID = enum.auto()  # data, except a pattern that the shell matches against file names
    SCRIPT = enum.auto()  # a shell script


SHELLS = frozenset({"bash", "dash", "ksh", "sh", "zsh"})
_SAYING = frozenset({"echo", "expr", "let", "printf"})
# The first argument of these is an expression, which may begin with a slash: sed '/root/d'.
_MATCHING = frozenset({"awk", "egrep", "fgrep", "gawk", "grep", "jq", "mawk", "perl", "rg", "ruby", "sed"})
# These run the command at the end of their arguments.
_WRAPPING = frozenset(
    {
        "builtin",
        "command",
        "env",
        "exec",
        "nice",
        "nohup",
        "setsid",
        "stdbuf",
        "sudo",
        "time",
        "timeout",
        "xargs",
    }
)
_KEYWORDS = frozenset(
    {"!", "{", "}", "do", "done", "elif", "else", "esac", "fi", "if", "then", "until", "while"}
)
# For these a lone `/` means the directory.
_AT_ROOT = frozenset({"cd", "du", "find", "ls", "pushd", "stat", "tree"})

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*\+?=")
_RUN_OPTION = re.compile(r"-[a-zA-Z]*c[a-zA-Z]*$")
_EXPRESSION_OPTION = re.compile(r"-[a-zA-Z0-9]*e$|--(expression|regexp)$")
_VALUE_OPTIONS = frozenset({"-F", "-v", "-A", "-B", "-C", "-m"})


class Command:
    """Takes the words of one simple command in order, and returns the role of each."""

    def __init__(self) -> None:
        self.name = ""  # the last part of the program's path; "" before that has been seen
        self._wrapped = False
        self._previous = ""
        self._expression_seen = False
        self._script_seen = False

    @property
    def reads_script(self) -> bool:
        """Whether this is a shell that reads its script from standard input."""
        return self.name in SHELLS and not self._script_seen

    @property
    def takes_root(self) -> bool:
        return self.name in _AT_ROOT

    def take(self, word: str) -> Role:
        if not self.name:
            self._take_program(word)
            return Role.PATH
        previous, self._previous = self._previous, word
        if self.name in _SAYING:
            return Role.SAID
        if previous == "=~":
            return Role.TEXT
        if self.name in SHELLS:
            return self._take_for_shell(word, previous)
        if self.name in _MATCHING:
            return self._take_for_matching(word, previous)
        if self.name == "eval" or (self.name == "trap" and not previous):
            return Role.SCRIPT
        if word in ("-exec", "-execdir", "-ok"):
            self.name = ""
        return Role.PATH

    def _take_program(self, word: str) -> None:
        if word in _KEYWORDS or _ASSIGNMENT.match(word):
            return
        if self._wrapped and (word[:1] == "-" or word[:1].isdigit()):  # timeout's options and its duration
            return
        name = word.rpartition("/")[2]
        if name in _WRAPPING:
            self._wrapped = True
        else:
            self.name = name

    def _take_for_shell(self, word: str, previous: str) -> Role:
        if self._script_seen:
            return Role.PATH
        self._script_seen = word[:1] not in ("-", "+") and previous not in ("-o", "-O", "+o", "+O")
        return Role.SCRIPT if self._script_seen and _RUN_OPTION.match(previous) else Role.PATH

    def _take_for_matching(self, word: str, previous: str) -> Role:
        if _EXPRESSION_OPTION.match(previous):
            self._expression_seen = True
            return Role.TEXT
        if word[:1] == "-" or word.isdigit() or previous in _VALUE_OPTIONS:
            self._expression_seen = self._expression_seen or word == "-f"
            return Role.PATH
        if previous != "-f" and not self._expression_seen:
            self._expression_seen = True
            return Role.TEXT
        return Role.PATH
