"""The program that a child Python was started for goes by the sandbox's path, although C opens it by the host's.

Between `site`, where the mapping comes in, and the program's first line Python says what it does to audit hooks alone:
here they say which file it runs (`cpython.run_file`), and which code it has made of it (`exec`).
"""

from __future__ import annotations

import _imp
import os
import sys

from .. import calls

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from types import CodeType
    from typing import Any


def show() -> None:
    """Once, before the program begins."""
    watch = _Watch()
    sys.addaudithook(
        lambda event, arguments: watch.hear(event, arguments) if watch.begun is not True else None
    )


class _Watch:
    def __init__(self) -> None:
        self.begun = False
        self._file = ""
        self._warnings: Any = None

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "exec":
            if self._file and getattr(arguments[0], "co_filename", None) == self._file:
                self._begin(arguments[0])
        elif event == "cpython.run_file":
            _show_places()
            self._open(arguments[0])
        elif event in ("cpython.run_command", "cpython.run_module", "cpython.run_stdin"):
            self.begun = True
            _show_places()

    def _open(self, file: str) -> None:
        shown = calls.current().virtual(file)
        if shown == file:
            self.begun = True
            return
        sys.path_importer_cache.pop(file, None)
        try:
            os.close(calls.original.os_open(file, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            sys.stderr.write(
                f"{sys.orig_argv[0]}: can't open file {shown!r}: [Errno {error.errno}] {error.strerror}\n"
            )
            raise SystemExit(2) from None
        self._file = file
        if "warnings" not in sys.modules:
            self._warnings = sys.modules["warnings"] = _warnings()

    def _begin(self, code: CodeType) -> None:
        self.begun = True
        if sys.modules.get("warnings") is self._warnings:
            del sys.modules["warnings"]
        shown = calls.current().virtual(self._file)
        _imp._fix_co_filename(code, shown)  # type: ignore[attr-defined]
        main = sys.modules["__main__"].__dict__
        main["__file__"] = shown
        if hasattr(main.get("__loader__"), "path"):
            main["__loader__"].path = shown


def _show_places() -> None:
    """`site` has gone by the prefixes until now: by others it would find its directories a second time."""
    shown = calls.current().virtual
    sys.prefix, sys.exec_prefix = shown(sys.prefix), shown(sys.exec_prefix)
    if sys.path and isinstance(sys.path[0], str):
        sys.path[0] = shown(sys.path[0])


def _warnings() -> Any:
    """In the module's place while the program is compiled: C asks it to show what it warns of."""
    module: Any = type(sys)("warnings")

    def show_message(message: tuple[Any, Any, str, int]) -> None:
        del sys.modules["warnings"]
        import warnings

        text, category, file, line = message
        warnings.showwarning(text, category, calls.current().virtual(file), line)

    module.WarningMessage = lambda text, category, file, line, *rest: (text, category, file, line)
    module._showwarnmsg = show_message
    return module
