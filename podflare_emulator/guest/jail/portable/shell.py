"""Rewrites bash code: replaces the sandbox's absolute paths by the host's.

It rewrites little, and word by word, as bash splits them. A path is rewritten if it begins a word or a quoted string,
or follows `=` or `:` in one (`--out=/data/x`, `PATH="$PATH:/opt/bin"`); in a redirection; in `$(...)`, `<(...)` and
`${name:-/path}`; and in the script that is an argument of `bash -c`, `eval` or `trap`. Everything else stays the same:

- the middle of a word (URLs, `-I/root/include`, `$X/root`), and of a quoted string ("see /root/x");
- the arguments of `echo` and `printf`, unless they are patterns for files (`echo /root/*`);
- the expressions of sed, awk, grep and similar programs; arithmetic; comments; a lone `/`, except after `cd`, `ls`,
  `find` and so on;
- here-documents, which are data: a Python child that reads one has its own mapping. The exceptions are a here-document
  that a shell is to run, and `$(...)` in one.

A path that is wrongly left alone means the host's file. Landlock, if the kernel has it, refuses writes to that.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .words import Command, Role

if TYPE_CHECKING:
    from collections.abc import Callable

    from .paths import PathMap

_LITERAL = re.compile(r"""[^\s'"`$*?\[\]{}()<>|;&\\,:=!#]+""")
_REDIRECTION = re.compile(r"&>>|&>|<<<|<<-|<<|<>|<&|>>|>\||>&|<|>")
_PARAMETER = re.compile(r"\$\{[#!]?\w+(\[[^]]*\])?(:?[-=+]|\#{1,2})")
_NAME = re.compile(r"\$(\w+|[@*#?$!-])?")
_BACKQUOTED = re.compile(r"`((?:\\.|[^`\\])*)`?", re.DOTALL)
_SPACE = re.compile(r"\s")
_EXPANDED = "\0"  # in a word's meaning: the place of a value that only bash knows


def shell_command(code: str, path_map: PathMap) -> str:
    """The bash script `code` with the host's paths. Idempotent: applying it twice is the same as once."""
    if not path_map.prefix or "/" not in code:
        return code
    return _Rewriter(code, path_map).run()


@dataclass
class _Path:
    """An absolute path in a word, up to the first character that is not clearly part of it."""

    literal: str
    quote: str


@dataclass
class _Word:
    parts: list[str | _Path] = field(default_factory=list)
    meaning: str = ""  # the word as the command will see it, as far as we know
    is_pattern: bool = False  # bash will match it against the names of files

    def add(self, text: str, meaning: str) -> None:
        self.parts.append(text)
        self.meaning += meaning

    def may_begin_path(self, following: str) -> bool:
        """Whether an absolute path can begin with a `/` here that `following` comes after."""
        if following[:1] == "/" or _SPACE.search(self.meaning):
            return False
        last = self.meaning[-1:]
        return last in ("", "=", ":") or (self.meaning[0] == "{" and last in "{,")


@dataclass
class _Document:
    """A here-document whose operator has been read; its body begins on the next line."""

    end: str
    is_indented: bool
    is_expanded: bool
    command: Command


class _Rewriter:
    def __init__(self, code: str, path_map: PathMap) -> None:
        self.code = code
        self.paths = path_map
        self.at = 0
        self.out: list[str] = []

    def run(self) -> str:
        self._commands(closing="")
        return "".join(self.out)

    # -- commands ------------------------------------------------------------------------------------------------------

    def _commands(self, closing: str) -> None:
        """Rewrites up to the end, or up to the `closing` parenthesis, which it leaves to the caller."""
        command = Command()
        documents: list[_Document] = []
        cases = 0
        while self.at < len(self.code):
            char = self.code[self.at]
            redirection = _REDIRECTION.match(self.code, self.at)
            if char in " \t":
                self._copy(1)
            elif char == "#":
                self._copy_to(self.code.find("\n", self.at))
            elif char == "\n":
                self._copy(1)
                self._bodies(documents)
                documents, command = [], Command()
            elif char == ")":
                if closing and not cases:
                    return
                self._copy(1)
                command = Command()
            elif self.code.startswith("((", self.at) and not command.name:
                self._copy_balanced()
            elif char == "(":
                self._nested(1)
                command = Command()
            elif self.code.startswith(("<(", ">("), self.at):
                self._nested(2)
            elif redirection:
                self._redirection(redirection.group(), command, documents)
            elif char in ";&|":
                self._copy(1)
                command = Command()
            else:
                word = self._word()
                if not command.name:
                    cases += {"case": 1, "esac": -1}.get(word.meaning, 0)
                self.out.append(self._rendered(word, command.take(word.meaning), command.takes_root))

    def _nested(self, opening: int) -> None:
        self._copy(opening)
        self._commands(closing=")")
        self._copy(1)

    def _redirection(self, operator: str, command: Command, documents: list[_Document]) -> None:
        self._copy(len(operator))
        while self.code[self.at : self.at + 1] in (" ", "\t"):
            self._copy(1)
        begin = self.at
        word = self._word()
        if operator in ("<<", "<<-"):
            written = self.code[begin : self.at]
            is_quoted = any(char in written for char in "'\"\\")
            documents.append(_Document(word.meaning, operator == "<<-", not is_quoted, command))
        is_text = operator in ("<<", "<<-", "<<<")
        self.out.append(self._rendered(word, Role.TEXT if is_text else Role.PATH, takes_root=False))

    def _bodies(self, documents: list[_Document]) -> None:
        for document in documents:
            lines: list[str] = []
            end = ""
            while self.at < len(self.code) and not end:
                stop = self.code.find("\n", self.at) + 1 or len(self.code)
                line, self.at = self.code[self.at : stop], stop
                bare = line.removesuffix("\n")
                if (bare.lstrip("\t") if document.is_indented else bare) == document.end:
                    end = line
                else:
                    lines.append(line)
            body = "".join(lines)
            if document.command.reads_script:
                body = shell_command(body, self.paths)
            elif document.is_expanded:
                body = _Rewriter(body, self.paths)._expanded_text()
            self.out.append(body + end)

    def _expanded_text(self) -> str:
        """Rewrites text in which bash expands only `$` and backquotes."""
        word = _Word(meaning=_EXPANDED)
        while self.at < len(self.code):
            self._quoted_character(word, "")
        return self._rendered(word, Role.TEXT, takes_root=False)

    # -- words ---------------------------------------------------------------------------------------------------------

    def _word(self) -> _Word:
        word = _Word()
        while self.at < len(self.code) and (char := self.code[self.at]) not in " \t\n;&|<>()":
            if char == "'":
                self._single_quoted(word)
            elif char == '"':
                word.add('"', "")
                self.at += 1
                while self.at < len(self.code) and self.code[self.at] != '"':
                    self._quoted_character(word, '"')
                word.add(self._read(1), "")
            elif char == "$" and self.code.startswith("$'", self.at):
                self._ansi_quoted(word)
            elif char == "$" and self.code.startswith('$"', self.at):
                word.add(self._read(1), "")
            else:
                word.is_pattern = word.is_pattern or char in "*?["
                self._quoted_character(word, "")
        return word

    def _quoted_character(self, word: _Word, quote: str) -> None:
        """Reads one step where `$`, backquotes and backslashes are special: in double quotes, or outside quotes."""
        char = self.code[self.at]
        if char == "\\":
            text = self._read(2)
            word.add(text, text[1:])
        elif char == "$":
            word.add(self._expansion(), _EXPANDED)
        elif char == "`":
            word.add(self._backquoted(), _EXPANDED)
        elif char == "/":
            self._slash(word, quote)
        else:
            word.add(self._read(1), char)

    def _slash(self, word: _Word, quote: str) -> None:
        literal = _LITERAL.match(self.code, self.at)
        if literal is None or not word.may_begin_path(literal.group()[1:]) or literal.group() == "/":
            word.add(self._read(1), "/")
            return
        self.at = literal.end()
        word.parts.append(_Path(literal.group(), quote))
        word.meaning += literal.group()

    def _single_quoted(self, word: _Word) -> None:
        end = self.code.find("'", self.at + 1) + 1 or len(self.code)
        word.add(self._read(1), "")
        while self.at < end:
            char = self.code[self.at]
            if char == "/":
                self._slash(word, "'")
            else:
                word.add(self._read(1), "" if self.at == end else char)

    def _ansi_quoted(self, word: _Word) -> None:
        word.add(self._read(2), "")
        while self.at < len(self.code) and self.code[self.at] != "'":
            text = self._read(2 if self.code[self.at] == "\\" else 1)
            word.add(text, text)
        word.add(self._read(1), "")

    # -- expansions ----------------------------------------------------------------------------------------------------

    def _expansion(self) -> str:
        if self.code.startswith("$((", self.at):
            return self._captured(self._copy_balanced)
        if self.code.startswith("$(", self.at):
            return self._captured(lambda: self._nested(2))
        if self.code.startswith("${", self.at):
            return self._parameter()
        name = _NAME.match(self.code, self.at)
        return self._read(len(name.group()) if name else 1)

    def _parameter(self) -> str:
        """`${...}`: the default value or the prefix to remove may be a path."""
        opening = _PARAMETER.match(self.code, self.at)
        word = _Word()
        word.add(self._read(len(opening.group()) if opening else 2), "" if opening else _EXPANDED)
        while self.at < len(self.code) and self.code[self.at] != "}":
            if self.code[self.at] == "'" and opening is None:
                self._single_quoted(word)
            else:
                self._quoted_character(word, "")
        word.add(self._read(1), "")
        return self._rendered(word, Role.PATH, takes_root=False)

    def _backquoted(self) -> str:
        end = _BACKQUOTED.match(self.code, self.at)
        assert end is not None  # it matches a backquote alone
        self.at = end.end()
        closing = "`" if len(end.group()) > len(end.group(1)) + 1 else ""
        return f"`{shell_command(end.group(1), self.paths)}{closing}"

    # -- text ----------------------------------------------------------------------------------------------------------

    def _rendered(self, word: _Word, role: Role, takes_root: bool) -> str:
        written = "".join(part if isinstance(part, str) else part.literal for part in word.parts)
        if role is Role.SCRIPT:
            return self._rendered_script(written, word)
        if role is Role.TEXT or (role is Role.SAID and not word.is_pattern):
            return written
        if word.meaning == "/" and takes_root:
            return f"{shlex.quote(self.paths.prefix)}{written}"
        return "".join(part if isinstance(part, str) else self._rendered_path(part) for part in word.parts)

    def _rendered_script(self, written: str, word: _Word) -> str:
        quote = written[:1]
        if quote in ("'", '"') and len(written) > 1 and written[-1] == quote:
            script = shell_command(written[1:-1], self.paths)
            return f"{quote}{script}{quote}"
        return "".join(part if isinstance(part, str) else self._rendered_path(part) for part in word.parts)

    def _rendered_path(self, path: _Path) -> str:
        real: str = self.paths.real(path.literal)
        if real == path.literal:
            return real
        if path.literal[-1] == "/" and real[-1] != "/":
            real += "/"
        prefix, rest = self.paths.prefix, real[len(self.paths.prefix) :]
        if not real.startswith(prefix):
            return real
        if path.quote == "'":
            prefix = prefix.replace("'", "'\\''")
        elif path.quote == '"':
            prefix = re.sub(r'([\\"$`])', r"\\\1", prefix)
        else:
            prefix = shlex.quote(prefix)
        return prefix + rest

    def _captured(self, write: Callable[[], None]) -> str:
        before, self.out = self.out, []
        write()
        captured, self.out = "".join(self.out), before
        return captured

    def _copy_balanced(self) -> None:
        """Copies arithmetic: nothing in it is a path."""
        depth = 0
        while self.at < len(self.code):
            char = self.code[self.at]
            depth += {"(": 1, ")": -1}.get(char, 0)
            self._copy(1)
            if depth == 0 and char == ")":
                return

    def _copy_to(self, end: int) -> None:
        self._copy((end if end >= 0 else len(self.code)) - self.at)

    def _copy(self, length: int) -> None:
        self.out.append(self._read(length))

    def _read(self, length: int) -> str:
        text = self.code[self.at : self.at + length]
        self.at += len(text)
        return text
