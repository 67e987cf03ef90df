"""Python runs in one long-lived interpreter per sandbox, in one shared globals dict."""

from collections.abc import Callable

import pytest

from podflare import Sandbox

from ..matrix import SLOW
from .printed import printed


def test_names_persist(sandbox: Sandbox) -> None:
    printed(sandbox, "x = 41\ndef double(value): return 2 * value\nclass Thing: colour = 'red'")
    assert printed(sandbox, "x += 1; print(x, double(x), Thing.colour)") == "42 84 red"


def test_imports_persist(sandbox: Sandbox) -> None:
    printed(sandbox, "import math as m; from os import path")
    assert printed(sandbox, "print(m.floor(2.5), path.join('a', 'b'))") == "2 a/b"


def test_functions_see_names_that_are_bound_later(sandbox: Sandbox) -> None:
    printed(sandbox, "def later(): return value")
    assert printed(sandbox, "value = 5; print(later())") == "5"


def test_the_code_is_the_main_module(sandbox: Sandbox) -> None:
    assert printed(sandbox, "import __main__; here = 1; print(__name__, __main__.here)") == "__main__ 1"


def test_its_builtins_are_a_module(sandbox: Sandbox) -> None:
    assert printed(sandbox, "import builtins; print(__builtins__ is builtins)") == "True"


def test_a_class_of_the_code_can_be_pickled(sandbox: Sandbox) -> None:
    printed(sandbox, "class Point:\n    x = 1\nimport pickle")
    assert printed(sandbox, "print(type(pickle.loads(pickle.dumps(Point()))) is Point)") == "True"


def test_the_working_directory_persists(sandbox: Sandbox) -> None:
    printed(sandbox, "import os; os.makedirs('/root/deep/er'); os.chdir('/root/deep/er')")
    assert printed(sandbox, "print(os.getcwd()); open('made', 'w').close()") == "/root/deep/er"
    assert printed(sandbox, "print(os.listdir('/root/deep/er'))") == "['made']"


def test_the_environment_persists(sandbox: Sandbox) -> None:
    printed(sandbox, "import os; os.environ['COLOUR'] = 'blue'")
    assert printed(sandbox, "os.system('echo $COLOUR')") == "blue"


def test_sys_path_persists(sandbox: Sandbox) -> None:
    printed(sandbox, "import os, sys; os.mkdir('/root/lib'); sys.path.insert(0, '/root/lib')")
    printed(sandbox, "echo 'answer = 42' > /root/lib/just_written.py", "bash")
    assert printed(sandbox, "import just_written; print(just_written.answer)") == "42"


def test_open_files_persist(sandbox: Sandbox) -> None:
    printed(sandbox, "file = open('/tmp/file', 'w+'); file.write('first ')")
    assert printed(sandbox, "file.write('second'); file.seek(0); print(file.read())") == "first second"


def test_sockets_persist(sandbox: Sandbox) -> None:
    printed(sandbox, "import socket; a, b = socket.socketpair()")
    printed(sandbox, "a.sendall(b'hello')")
    assert printed(sandbox, "print(b.recv(5))") == "b'hello'"


def test_threads_go_on(sandbox: Sandbox) -> None:
    printed(
        sandbox,
        """
        import queue, threading
        asked, answered = queue.Queue(), queue.Queue()
        def work():
            while True:
                answered.put(asked.get() * 2)
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        """,
    )
    assert printed(sandbox, "asked.put(21); print(answered.get())") == "42"


def test_a_thread_works_while_no_exec_runs(sandbox: Sandbox) -> None:
    printed(
        sandbox,
        """
        import threading, time
        finished = threading.Event()
        threading.Thread(target=lambda: (time.sleep(0.2), finished.set())).start()
        """,
    )
    assert printed(sandbox, "print(finished.wait(30))") == "True"


def test_child_processes_go_on(sandbox: Sandbox) -> None:
    code = "import subprocess; cat = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)"
    printed(sandbox, code)
    assert printed(sandbox, "print(cat.poll()); print(cat.communicate(b'still here')[0])") == (
        "None\nb'still here'"
    )


def test_nothing_is_echoed(sandbox: Sandbox) -> None:
    assert printed(sandbox, "1 + 1\n'text'\n[1, 2]") == ""


def test_code_may_be_indented_as_a_block(sandbox: Sandbox) -> None:
    code = """
        import math

        # not indented as the rest is
        if math.pi > 3:
            print('more')
        print('than 3')
    """
    assert printed(sandbox, code) == "more\nthan 3"


def test_code_may_be_indented_with_tabs(sandbox: Sandbox) -> None:
    assert printed(sandbox, "\tfor i in range(2):\n\t\tprint(i)\n") == "0\n1"


@SLOW
def test_text_in_code_that_is_not_indented_keeps_its_spaces(sandbox: Sandbox) -> None:
    assert printed(sandbox, 'text = """\n  two\n    four\n"""\nprint(repr(text))') == r"'\n  two\n    four\n'"


def test_windows_line_ends_are_fine(sandbox: Sandbox) -> None:
    assert printed(sandbox, "if True:\r\n    print(1)\r\nprint(2)\r\n") == "1\n2"


def test_an_exception_is_a_traceback_on_stderr_and_exit_1(sandbox: Sandbox) -> None:
    result = sandbox.run_code("print('before')\ndef fails():\n    return 1 / 0\nfails()\nprint('after')")
    assert (result.stdout, result.exit_code) == ("before", 1)
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.endswith("ZeroDivisionError: division by zero")
    assert "in fails" in result.stderr


def test_a_traceback_shows_the_users_lines_and_no_others(sandbox: Sandbox) -> None:
    stderr = sandbox.run_code("def fails():\n    raise ValueError('no')\nfails()").stderr
    assert "raise ValueError('no')" in stderr
    assert stderr.count("File ") == 2


def test_a_traceback_shows_the_lines_of_an_earlier_exec(sandbox: Sandbox) -> None:
    printed(sandbox, "def fails():\n    raise ValueError('no')  # marked")
    assert "# marked" in sandbox.run_code("fails()").stderr


def test_the_call_after_an_exception_works_with_what_was_bound_before(sandbox: Sandbox) -> None:
    sandbox.run_code("kept = 1; missing")
    assert printed(sandbox, "print(kept)") == "1"


def test_a_syntax_error_is_exit_1_and_nothing_has_run(sandbox: Sandbox) -> None:
    result = sandbox.run_code("print('never')\ndef broken(:\n")
    assert (result.stdout, result.exit_code) == ("", 1)
    assert "SyntaxError" in result.stderr
    assert printed(sandbox, "print('works')") == "works"


@pytest.mark.parametrize(
    ("code", "exit_code", "stderr"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit(None)", 0, ""),
        ("raise SystemExit(0)", 0, ""),
        ("raise SystemExit('a message')", 1, "a message"),
        ("import sys; sys.exit(4)", 4, ""),
        ("raise SystemExit(-1)", 255, ""),
    ],
)
def test_system_exit_ends_the_call_with_its_code(
    sandbox: Sandbox, code: str, exit_code: int, stderr: str
) -> None:
    result = sandbox.run_code(f"kept = 'alive'\n{code}\nprint('never')")
    assert (result.stdout, result.stderr, result.exit_code) == ("", stderr, exit_code)
    assert printed(sandbox, "print(kept)") == "alive"


def test_stdin_is_empty(sandbox: Sandbox) -> None:
    assert sandbox.run_code("input()").stderr.endswith("EOFError: EOF when reading a line")


def test_endless_recursion_is_an_exception_like_any(sandbox: Sandbox) -> None:
    result = sandbox.run_code("def deeper(): deeper()\ndeeper()")
    assert result.exit_code == 1
    assert "RecursionError" in result.stderr
    assert printed(sandbox, "print('works')") == "works"


def test_a_traceback_of_an_exception_that_cannot_be_printed_does_no_harm(sandbox: Sandbox) -> None:
    result = sandbox.run_code("class Odd(Exception):\n    def __str__(self): raise Odd\nraise Odd")
    assert result.exit_code == 1
    assert "Odd" in result.stderr
    assert printed(sandbox, "print('works')") == "works"


def test_code_that_closes_stdout_loses_only_its_own_output(sandbox: Sandbox) -> None:
    sandbox.run_code("import sys; sys.stdout.close()")
    assert printed(sandbox, "print('heard')") == "heard"


def test_asyncio_runs(sandbox: Sandbox) -> None:
    code = (
        "import asyncio\nasync def answer(): await asyncio.sleep(0); return 42\nprint(asyncio.run(answer()))"
    )
    assert printed(sandbox, code) == "42"


def test_multiprocessing_runs(sandbox: Sandbox) -> None:
    code = """
        import multiprocessing
        def square(x): return x * x
        with multiprocessing.get_context('fork').Pool(2) as pool:
            print(pool.map(square, range(4)))
        """
    assert printed(sandbox, code) == "[0, 1, 4, 9]"


def test_code_that_forks_answers_once(sandbox: Sandbox) -> None:
    result = sandbox.run_code(
        "import os; child = os.fork()\nif child: os.waitpid(child, 0)\nprint(child > 0)"
    )
    assert sorted(result.stdout.split()) == ["False", "True"]
    assert printed(sandbox, "print('once')") == "once"


def test_a_module_that_bash_has_written_can_be_imported(sandbox: Sandbox) -> None:
    printed(sandbox, "import os, sys; sys.path.insert(0, '/root'); os.listdir('/root')")
    with pytest.raises(AssertionError, match="ModuleNotFoundError"):
        printed(sandbox, "import written_later")
    sandbox.run_code("echo value = 7 > /root/written_later.py", language="bash")
    assert printed(sandbox, "import written_later; print(written_later.value)") == "7"


def test_modules_of_the_working_directory_can_be_imported_wherever_that_is(
    sandbox: Sandbox, fork: Callable[[Sandbox], list[Sandbox]]
) -> None:
    sandbox.upload(b"value = 1", "/root/uploaded.py")
    printed(sandbox, "open('written.py', 'w').write('value = 2'); import os; os.makedirs('/data/deep')")
    printed(sandbox, "echo value = 3 > /data/deep/later.py", "bash")
    assert printed(sandbox, "import uploaded, written, sys; print(uploaded.value, written.value)") == "1 2"
    assert (
        printed(sandbox, "os.chdir('/data/deep'); import later; print(later.__file__)")
        == "/data/deep/later.py"
    )
    (child,) = fork(sandbox)
    printed(child, "open('of_child.py', 'w').write('value = 4'); import of_child; print(of_child.__file__)")
    assert printed(sandbox, "print(repr(sys.path[0]), os.path.exists('of_child.py'))") == "'' False"


def test_the_working_directory_may_be_gone(sandbox: Sandbox) -> None:
    printed(sandbox, "import os; os.mkdir('gone'); os.chdir('gone'); os.rmdir('/root/gone'); import colorsys")


def test_a_module_of_the_user_s_with_a_standard_name_is_for_user_code_alone(sandbox: Sandbox) -> None:
    names = ("ast", "copy", "inspect", "subprocess", "tempfile", "threading", "termios", "statistics")
    for name in names:
        sandbox.upload(b"mine = True", f"/root/{name}.py")
    assert printed(sandbox, f"echo $((6 * 7)); : {'x' * 200_000}", "bash") == "42"
    assert sandbox.run_code("1 / 0").stderr.endswith("ZeroDivisionError: division by zero")
    assert printed(sandbox, "import statistics; print(statistics.mine)") == "True"
    assert printed(sandbox, "echo works", "bash") == "works"


def test_an_import_finder_of_the_user_s_is_told_too(sandbox: Sandbox) -> None:
    printed(
        sandbox,
        "import sys\n"
        "class Finder:\n"
        "    told = 0\n"
        "    def find_spec(self, *names): return None\n"
        "    def invalidate_caches(self): Finder.told += 1\n"
        "sys.meta_path.append(Finder())\n",
    )
    assert printed(sandbox, "print(Finder.told > 0)") == "True"


def test_the_handler_of_interrupts_is_pythons_own_for_whoever_looks(sandbox: Sandbox) -> None:
    code = """
        import signal
        import copy, pickle
        handler = signal.getsignal(signal.SIGINT)
        print(handler is signal.default_int_handler, handler, handler.__module__, handler.__qualname__)
        print(pickle.loads(pickle.dumps(handler)) is handler, copy.deepcopy([handler]) == [handler])
        try: signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt: print("stopped")
        """
    shown = "<built-in function default_int_handler> signal default_int_handler"
    assert sandbox.run_code(code).stdout == f"True {shown}\nTrue True\nstopped"


def test_the_handler_of_interrupts_is_no_method_of_a_class_that_has_it(sandbox: Sandbox) -> None:
    code = """
        import signal
        class Program: on_interrupt = signal.default_int_handler
        try: Program().on_interrupt(signal.SIGINT, None)
        except KeyboardInterrupt: print("stopped")
        """
    assert sandbox.run_code(code).stdout == "stopped"


def test_pythons_that_code_starts_with_its_own_options_get_none(sandbox: Sandbox) -> None:
    code = """
        import multiprocessing, os
        os.environ["PYTHONPATH"] = "/root/lib"
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            shown = "__import__('sys').flags.isolated, __import__('sys').flags.ignore_environment"
            print(pool.apply(eval, (shown,)))
        """
    assert sandbox.run_code(code).stdout == "(0, 0)"


def test_an_interrupt_that_code_sends_itself_is_not_the_next_execs(sandbox: Sandbox) -> None:
    assert sandbox.run_code("import os, signal; os.kill(os.getpid(), signal.SIGINT)").exit_code == 130
    assert sandbox.run_code("print(1)").stdout == "1"


def test_asyncio_ends_as_pythons_own_does_when_it_is_interrupted(sandbox: Sandbox) -> None:
    code = """
        import asyncio, os, signal
        async def main():
            try:
                os.kill(os.getpid(), signal.SIGINT)
                await asyncio.sleep(60)
            finally:
                print("cleaned up")
        asyncio.run(main())
        """
    result = sandbox.run_code(code)
    assert (result.stdout, result.exit_code) == ("cleaned up", 130)
    assert sandbox.run_code("print(1)").stdout == "1"
