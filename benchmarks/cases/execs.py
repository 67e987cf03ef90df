"""How long running code takes, by how much it prints."""

from __future__ import annotations

from bench import Bench, case
from podflare import Language, Sandbox

_LINES = 10_000
_LINE = 10_000_000  # characters


@case()
def exec_nothing(bench: Bench) -> None:
    _exec(bench, "exec: nothing", "")


@case()
def exec_sum(bench: Bench) -> None:
    _exec(bench, "exec: 1+1", "1+1")


@case()
def exec_print(bench: Bench) -> None:
    _exec(bench, "exec: print(6*7)", "print(6*7)", printed=2)


@case()
def exec_lines(bench: Bench) -> None:
    code = f"for number in range({_LINES}): print(number)"
    printed = sum(len(str(number)) + 1 for number in range(_LINES)) - 1
    _exec(bench, f"exec: print {_LINES:,} lines", code, printed=printed)


@case()
def exec_long_line(bench: Bench) -> None:
    _exec(bench, f"exec: print {_LINE // 10**6} MB in one line", f"print('x' * {_LINE})", printed=_LINE)


@case()
def exec_bash(bench: Bench) -> None:
    _exec(bench, "exec: bash true", "true", "bash")


def _exec(bench: Bench, name: str, code: str, language: Language = "python", printed: int = 0) -> None:
    with Sandbox(client=bench.client) as sandbox:
        for stopwatch in bench.repeat(name):
            with stopwatch:
                result = sandbox.run_code(code, language)
            assert (result.exit_code, len(result.stdout)) == (0, printed), result.stderr
