"""The persistent Python REPL: every exec runs in one globals dict."""

from __future__ import annotations

import builtins
import io
import linecache
import os
import signal
import sys
import textwrap
import traceback
import types
from importlib import invalidate_caches
from importlib.machinery import PathFinder

from ..system import imports
from .interrupts import Handler, Interrupts

_SOURCES_KEPT = 1000  # how many execs' source lines tracebacks can show

_STREAMS = (("stdin", "r", "strict"), ("stdout", "w", "strict"), ("stderr", "w", "backslashreplace"))


class Repl:
    """The state of one interpreter that the user sees, and the rules by which code runs in it."""

    def __init__(self) -> None:
        main = types.ModuleType("__main__")
        main.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = main
        self.globals = main.__dict__
        self._runs = 0
        self.echoes = False  # whether to print the value of a last expression
        self._running = False
        self._interrupts = Interrupts()
        self._handle_interrupts()
        self._open_streams()

    def run(self, source: str) -> int:
        """Runs `source` and returns the exit code that its process would have had."""
        self._runs += 1
        name = f"<exec-{self._runs}>"
        source = _dedent(source)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        linecache.cache.pop(f"<exec-{self._runs - _SOURCES_KEPT}>", None)
        _forget_directories()
        try:
            parts = _compiled_with_echo(source, name) if self.echoes else [_compiled(source, name)]
            self._running = True
            try:
                if self.interrupted:
                    raise KeyboardInterrupt
                for part in parts:
                    exec(part, self.globals)
            finally:
                self._running = False
        except SystemExit as error:
            return self._leave(error.code)
        except BaseException as error:
            self._report(error)
            return 130 if isinstance(error, KeyboardInterrupt) else 1
        return 0

    def flush(self) -> None:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:  # it is closed, or an object of the user that cannot flush
                self._open_streams(only_closed=True)

    def expect(self, interrupts: int) -> None:
        """An exec begins, ordered after `interrupts` interrupts: any further one is meant for it, however early."""
        self._interrupts.expect(interrupts)

    def forget_interrupts(self) -> None:
        """A guest counts from 0, as its host does: the zygote's interrupts were not meant for it."""
        self._interrupts = Interrupts()

    @property
    def interrupted(self) -> bool:
        """Whether the client of this exec had gone away before its code could start."""
        return self._interrupts.pending

    def _handle_interrupts(self) -> None:
        """SIGINT stops the running code. Between two execs it is late for the last one, or early for the next."""

        def arrived() -> None:
            if self._running:
                self._interrupts.hits += 1
                raise KeyboardInterrupt
            self._interrupts.between += 1

        signal.default_int_handler = Handler(arrived)  # type: ignore[assignment] # Python's never returns
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def _leave(self, code: object) -> int:
        if code is None:
            return 0
        if isinstance(code, int):
            return code & 0xFF
        self._say(f"{code}\n")
        return 1

    def _report(self, error: BaseException) -> None:
        """Prints the traceback from the user's first frame on, with the user's excepthook if there is one."""
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        try:
            if sys.excepthook is sys.__excepthook__:
                with imports.own():
                    traceback.print_exception(type(error), error, trace)  # shows source lines before 3.13 too
            else:
                sys.excepthook(type(error), error.with_traceback(trace), trace)
            sys.stderr.flush()
        except BaseException:
            self._say("".join(traceback.format_exception(type(error), error, trace)))

    @staticmethod
    def _say(text: str) -> None:
        try:
            sys.stderr.write(text)
        except Exception:
            os.write(2, text.encode("utf-8", "backslashreplace"))

    @staticmethod
    def _open_streams(*, only_closed: bool = False) -> None:
        for number, (name, mode, errors) in enumerate(_STREAMS):
            for attribute in (name, f"__{name}__"):
                if not only_closed or getattr(getattr(sys, attribute), "closed", False):
                    setattr(sys, attribute, _stream(number, mode, errors))


def _forget_directories() -> None:
    """Clears the import system's caches of directories: bash, or another process, may have written modules.

    Since 3.13 `invalidate_caches` loads importlib.metadata and everything it needs, 6 MB: only call it if that is
    loaded already.
    """
    if "importlib.metadata" in sys.modules:
        invalidate_caches()
        return
    for place, finder in [*sys.path_importer_cache.items()]:
        if finder is None or not os.path.isabs(place):
            del sys.path_importer_cache[place]
        elif hasattr(finder, "invalidate_caches"):
            finder.invalidate_caches()
    for own in sys.meta_path:
        if own is not PathFinder and hasattr(own, "invalidate_caches"):
            own.invalidate_caches()


def _stream(number: int, mode: str, errors: str) -> io.TextIOWrapper:
    """A line-buffered stream, so that output is seen at once; closing it leaves the descriptor open."""
    raw = open(number, mode + "b", closefd=False)  # noqa: SIM115 - it lives as long as the interpreter
    return io.TextIOWrapper(
        raw, encoding="utf-8", errors=errors, line_buffering=mode == "w", write_through=False
    )


def _compiled(source: str, name: str) -> types.CodeType:
    return compile(source, name, "exec", dont_inherit=True)


def _compiled_with_echo(source: str, name: str) -> list[types.CodeType]:
    """Compiles a last expression as the interactive interpreter does: its value goes to `sys.displayhook`.

    A semicolon after it suppresses that, as in Jupyter.
    """
    with imports.own():
        import ast  # late: few sandboxes echo, and it would be in the memory of all

    tree = ast.parse(source, name)
    if not tree.body or not isinstance(tree.body[-1], ast.Expr):
        return [_compiled(source, name)]
    last = tree.body.pop()
    line = source.replace("\r\n", "\n").replace("\r", "\n").split("\n")[(last.end_lineno or 1) - 1]
    if line.encode()[last.end_col_offset :].lstrip(b" \t\f)").startswith(b";"):
        return [_compiled(source, name)]
    return [
        compile(tree, name, "exec", dont_inherit=True),
        compile(ast.Interactive([last]), name, "single", dont_inherit=True),
    ]


def _dedent(source: str) -> str:
    """Dedents code that is indented as a block; other code stays as it is, including blank lines in its strings."""
    first = next(
        (line for line in source.splitlines() if line.strip() and not line.lstrip().startswith("#")), ""
    )
    return textwrap.dedent(source) if first[:1] in (" ", "\t") else source
