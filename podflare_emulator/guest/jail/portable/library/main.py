"""Makes the program of a child Python show the sandbox's path, although C opens it through the host's.

The mapping starts in `site`. Between that and the program's first line only audit hooks can observe Python: one here
learns which file it runs (`cpython.run_file`), and which code object it has compiled from it (`exec`).
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
    """Call it once, before the program begins."""
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
            name = getattr(arguments[0], "co_filename", None)
            if self._file and (name == self._file or self._file.endswith(".pyc")):
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
        if code.co_filename == self._file:  # compiled files name their source
            _imp._fix_co_filename(code, shown)  # type: ignore[attr-defined]
        main = sys.modules["__main__"].__dict__
        main["__file__"] = shown
        if hasattr(main.get("__loader__"), "path"):
            main["__loader__"].path = shown


def _show_places() -> None:
    """Shows the sandbox's prefixes. Not earlier: with other prefixes `site` would add its directories a second time."""
    shown = calls.current().virtual
    sys.prefix, sys.exec_prefix = shown(sys.prefix), shown(sys.exec_prefix)
    if sys.path and isinstance(sys.path[0], str):
        sys.path[0] = shown(sys.path[0])


def _warnings() -> Any:
    """Replaces the module `warnings` while the program is compiled: C code calls it to show a warning."""
    module: Any = type(sys)("warnings")

    def show_message(message: tuple[Any, Any, str, int]) -> None:
        del sys.modules["warnings"]
        import warnings

        text, category, file, line = message
        warnings.showwarning(text, category, calls.current().virtual(file), line)

    module.WarningMessage = lambda text, category, file, line, *rest: (text, category, file, line)
    module._showwarnmsg = show_message
    return module
