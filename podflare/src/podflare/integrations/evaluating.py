"""Python of which a framework wants more than what it prints: the value of a last expression, or the error."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from podflare.integrations.running import CodeRunner
from podflare.types import ExecResult

# Runs in its own globals and gives the code those of the REPL. With tools, the code runs in a thread: the exec ends
# where it calls one, and a second exec brings the answer. The thread is then at rest between two execs.
_PROGRAM = """
import ast, ctypes, json, linecache, queue, sys, threading, traceback

# For the source lines in tracebacks, also of functions that an earlier piece has defined.
file = f"<code {1 + sum(name.startswith('<code ') for name in linecache.cache)}>"
linecache.cache[file] = (len(code), None, code.splitlines(True), file)

def reported(value):
    try:
        return {"value": json.loads(json.dumps(value, allow_nan=False)), "text": repr(value)}
    except (TypeError, ValueError):
        return {"value": repr(value), "text": repr(value)}

def outcome():
    try:
        tree = ast.parse(code, file)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, file, "exec"), names)
        if last is None:
            return {"value": None, "text": None}
        return reported(eval(compile(ast.Expression(last.value), file, "eval"), names))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        frames = None if isinstance(error, SyntaxError) else error.__traceback__.tb_next
        lines = traceback.format_exception(type(error), error, frames)
        return {"error": type(error).__name__, "message": str(error), "traceback": "".join(lines)}

class Session:
    def __init__(self):
        self.reports, self.pending = queue.SimpleQueue(), {}
        for tool in tools:
            names[tool] = lambda *args, _tool=tool, **named: self.call(_tool, args, named)
        self.thread = threading.Thread(target=self.work, daemon=True)
        self.thread.start()

    def work(self):
        try:
            self.reports.put(outcome())
        except KeyboardInterrupt:
            pass

    def call(self, tool, args, named):
        reply = queue.SimpleQueue()
        number = len(self.pending)
        self.pending[number] = reply
        self.reports.put({"tool": tool, "args": args, "named": named, "number": number})
        answer = reply.get()
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["value"]

    def answer(self, number, answer, mark):
        self.pending[number].put(json.loads(answer))
        self.tell(mark)

    def tell(self, mark):
        try:
            report(self.reports.get(), mark)
        except KeyboardInterrupt:
            ident = ctypes.c_ulong(self.thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(KeyboardInterrupt))
            raise

def report(told, mark):
    try:
        line = json.dumps(told)
    except TypeError as error:
        line = json.dumps({"error": "TypeError", "message": f"not JSON: {error}", "traceback": ""})
    sys.stdout.flush()
    sys.__stdout__.write(f"{mark}{line}{mark}\\n")
    sys.__stdout__.flush()

exec(prelude, names)
names.update(json.loads(variables))
if tools:
    names["_podflare_session"] = Session()
    names["_podflare_session"].tell(mark)
else:
    report(outcome(), mark)
"""


@dataclass(frozen=True)
class Evaluated:
    """How a piece of Python has ended.

    Attributes:
        printed: What it wrote to stdout.
        value: Of its last expression, as JSON has it, or else its `repr`; None if it was none.
        text: The value's `repr`.
        error: Name of the class of an uncaught exception, with its `message` and `traceback`.
    """

    printed: str
    value: Any = None
    text: str | None = None
    error: str | None = None
    message: str = ""
    traceback: str = ""


def evaluate(
    runner: CodeRunner,
    code: str,
    variables: Mapping[str, Any] | None = None,
    tools: Mapping[str, Callable[..., Any]] | None = None,
    prelude: str = "",
) -> Evaluated:
    """Run Python in the sandbox's REPL.

    Args:
        runner: It should not cut output.
        code: The Python to run.
        variables: Names to set before, with values that JSON has.
        tools: Functions of this process that the code may call by these names; arguments and results are what JSON has.
            The code then runs in a thread of the sandbox.
        prelude: Python to run before, which shows in no traceback.

    Raises:
        ValueError: If a variable or the result of a tool is nothing that JSON has.
    """
    tools = tools or {}
    mark = f"podflare-{secrets.token_hex(8)}:"
    # JSON as text: not every number of it is one of Python's literals.
    values = {
        "code": code,
        "variables": json.dumps(variables or {}),
        "tools": list(tools),
        "prelude": prelude,
    }
    # In ASCII: the code may hold lone surrogates.
    given = f"{{**{ ({**values, 'mark': mark})!a}, 'names': globals()}}"
    told, printed = _told(runner.run(f"__import__('builtins').exec({_PROGRAM!a}, {given})"), mark)
    while "tool" in told:
        answer = f"_podflare_session.answer({told['number']}, {_answer(tools, told)!a}, {mark!a})"
        told, more = _told(runner.run(answer), mark)
        printed = "\n".join(filter(None, [printed, more]))
    return Evaluated(printed, **told)


def _told(result: ExecResult, mark: str) -> tuple[dict[str, Any], str]:
    before, _, rest = result.stdout.partition(mark)
    line, _, after = rest.partition(mark)
    printed = f"{before}{after}".strip("\n")
    if line:
        return json.loads(line), printed
    # Interrupted, or the interpreter has died: there is no more to tell than what it said last.
    last = result.stderr.strip().rpartition("\n")[2] or f"the code ended with exit code {result.exit_code}"
    return {"error": "Interrupted", "message": last, "traceback": result.stderr}, printed


def _answer(tools: Mapping[str, Callable[..., Any]], told: Mapping[str, Any]) -> str:
    try:
        return json.dumps({"value": tools[told["tool"]](*told["args"], **told["named"])})
    except Exception as error:
        return json.dumps({"error": f"{type(error).__name__}: {error}"})
