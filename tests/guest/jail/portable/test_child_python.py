"""A Python that a portable sandbox starts knows its program, its environment and its end by the sandbox's names.

What these programs find they judge themselves: the host's paths would be taken off what they print.
"""

from __future__ import annotations

import pytest

from ....matrix import SLOW
from .conftest import Sandbox

NAMES = """\
import inspect, os, sys
frame = inspect.currentframe()
seen = [__file__, sys.argv[0], frame.f_code.co_filename, (lambda: 0).__code__.co_filename, inspect.getsourcefile(frame)]
seen += [sys.path[0], os.getcwd(), getattr(__loader__, "path", ""), *sys.orig_argv[-1:], os.environ["HOME"]]
print([place.replace("/", "|") for place in seen])
"""
SEEN = "['|root|s.py', {0}, '|root|s.py', '|root|s.py', '|root|s.py', '|root', '|root', '|root|s.py', {0}, '|root']\n"


@SLOW
@pytest.mark.parametrize("name", ["/root/s.py", "s.py"])
def test_a_script_has_the_sandboxs_names(sandbox: Sandbox, name: str) -> None:
    sandbox.file("/root/s.py").write_text(NAMES)
    expected = SEEN.format(repr(name.replace("/", "|")))
    assert sandbox.bash(f"python3 {name}") == expected
    assert sandbox.python(f"import subprocess; subprocess.run(['python3', {name!r}])") == expected


def test_a_module_and_a_directory_that_are_run_have_the_sandboxs_names(sandbox: Sandbox) -> None:
    sandbox.file("/root/package").mkdir()
    sandbox.file("/root/package/__main__.py").write_text(
        "import sys; print([place.replace('/', '|') for place in (__file__, sys.argv[0], sys.path[0])])"
    )
    assert (
        sandbox.bash("python3 -m package")
        == "['|root|package|__main__.py', '|root|package|__main__.py', '|root']\n"
    )
    assert sandbox.bash("python3 /root/package") == (
        "['|root|package|__main__.py', '|root|package', '|root|package']\n"
    )


COMPLAINTS = {
    "raise ValueError('no')\n": 'File "/root/s.py", line 1, in <module>',
    "x = (\n": 'File "/root/s.py", line 1',
    "x = 'é'\n".encode("latin-1"): "in file /root/s.py on line",
    "x = 1 is 1\n": "/root/s.py:1: SyntaxWarning",
    "import warnings; warnings.warn('so')\n": "/root/s.py:1: UserWarning: so",
    "import logging; logging.basicConfig(format='%(levelname)s:%(pathname)s'); logging.warning('so')": (
        "WARNING:/root/s.py"
    ),
    None: "python3: can't open file '/root/s.py': [Errno 2] No such file or directory",
}


@pytest.mark.parametrize("program", COMPLAINTS)
def test_complaints_name_the_sandboxs_file(sandbox: Sandbox, program: str | bytes | None) -> None:
    if program is not None:
        text = program if isinstance(program, bytes) else program.encode()
        sandbox.file("/root/s.py").write_bytes(text)
    code = (
        "import subprocess; done = subprocess.Popen(['python3', '/root/s.py'], stderr=subprocess.PIPE)\n"
        "print(open(done.stderr.fileno(), 'rb', closefd=False).read().decode().replace('/', '|'))\n"
        "print(done.wait())"
    )
    said = sandbox.python(code)
    assert COMPLAINTS[program].replace("/", "|") in said
    status = 2 if program is None else 0 if "warn" in said.lower() else 1
    assert said.endswith(f"\n{status}\n")


def test_a_traceback_that_the_program_formats_does_not_show_the_mapping(sandbox: Sandbox) -> None:
    sandbox.file("/root/s.py").write_text(
        "import traceback\ntry:\n    open('/root/none')\nexcept OSError:\n    print(traceback.format_exc())\n"
    )
    said = sandbox.bash("python3 /root/s.py")
    assert said.count('File "') == 1
    assert 'File "/root/s.py", line 3, in <module>' in said


@pytest.mark.parametrize("options", ["-c 'raise KeyboardInterrupt'", "/root/s.py", "-m s", "< /root/s.py"])
def test_ctrl_c_ends_a_child_as_the_signal_does(sandbox: Sandbox, options: str) -> None:
    sandbox.file("/root/s.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGINT)\n")
    said = sandbox.bash(f"cd /root; python3 {options} 2>/dev/null; echo $?")
    assert said.splitlines()[-1] == "130"
    code = f"import subprocess; print(subprocess.run('exec python3 {options}', shell=True, stderr=-3).returncode)"
    if "'" not in options:
        assert sandbox.python(code) == "-2\n"


def test_what_a_program_has_printed_is_captured_with_the_sandboxs_names(sandbox: Sandbox) -> None:
    said = sandbox.python(
        """
import asyncio, os, subprocess
assert subprocess.check_output(["pwd"]) == b"/root\\n"
assert subprocess.check_output("cd /; pwd", shell=True, text=True) == "/\\n"
done = subprocess.run("pwd; ls /root/none", shell=True, capture_output=True, text=True)
assert done.stdout == "/root\\n" and "'/root/none'" in done.stderr, done
assert os.popen("pwd").read() == "/root\\n"
with subprocess.Popen("for i in $(seq 5000); do echo $PWD/$i; done", shell=True, stdout=subprocess.PIPE) as process:
    assert list(process.stdout) == [b"/root/%d\\n" % number for number in range(1, 5001)]
with subprocess.Popen("printf '%s\\n/tmp/' $PWD; exec sleep 9", shell=True, stdout=subprocess.PIPE, bufsize=0) as it:
    assert it.stdout.read(4096) == b"/root\\n/tmp/"
    it.kill()
async def main():
    process = await asyncio.create_subprocess_exec("pwd", stdout=subprocess.PIPE)
    assert (await process.communicate())[0] == b"/root\\n"
asyncio.run(main())
binary = subprocess.check_output("pwd; printf '\\\\0'", shell=True)
assert binary.endswith(b"/root\\n\\0") and not binary.startswith(b"/root")
"""
    )
    assert said == ""


def test_a_virtual_environment_made_inside_is_mapped(sandbox: Sandbox) -> None:
    said = sandbox.bash(
        "python3 -m venv --without-pip /root/v; . /root/v/bin/activate; echo $VIRTUAL_ENV\n"
        'python -c \'import sys; print([p.replace("/", "|") for p in (sys.prefix, sys.executable, sys.path[-1])])\'\n'
        'python -c \'open("/data/a", "w")\'; ls /data'
    )
    prefix, seen, listed = said.splitlines()
    assert (prefix, listed) == ("/root/v", "a")
    assert seen.startswith("['|root|v', '|root|v|bin|python', '|root|v|lib|python3.")


SHEBANGS = {
    "#!/root/v/bin/python": "['/root/tool', 'x']",
    "#!/root/v/bin/python -u": "['/root/tool', 'x']",
    "#!/root/own": "own /root/tool x",
}


@pytest.mark.parametrize("shebang", SHEBANGS)
@pytest.mark.parametrize(
    "start", ["subprocess.run(['/root/tool', 'x'])", "os.execv('/root/tool', ['tool', 'x'])",
              "os.waitpid(os.posix_spawn('/root/tool', ['tool', 'x'], os.environ), 0)"]
)  # fmt: skip
def test_python_starts_a_script_for_an_interpreter_of_the_sandboxs(
    sandbox: Sandbox, shebang: str, start: str
) -> None:
    sandbox.file("/root/v/bin").mkdir(parents=True)
    sandbox.file("/root/v/bin/python").symlink_to("/".join([sandbox.root, ".venv/bin/python3"]))
    sandbox.file("/root/own").write_text('#!/bin/sh\necho own "$@"\n')
    sandbox.file("/root/tool").write_text(f"{shebang}\nimport sys; print(sys.argv)\n")
    for name in ("own", "tool"):
        sandbox.file(f"/root/{name}").chmod(0o755)
    assert sandbox.python(f"import os, subprocess; {start}") == f"{SHEBANGS[shebang]}\n"


def test_a_compiled_file_can_be_run(sandbox: Sandbox) -> None:
    """What Python imports while it starts one must be the real modules."""
    sandbox.file("/root/s.py").write_text(
        "import subprocess, warnings; print(__file__.replace('/', '|'), warnings.warn)"
    )
    said = sandbox.bash(
        "python3 -c \"import py_compile; py_compile.compile('/root/s.py', '/root/c.pyc')\"\npython3 /root/c.pyc"
    )
    assert said == "|root|c.pyc <built-in function warn>\n"


def test_where_programs_keep_temporary_files_is_not_seen_by_a_python_among_them(sandbox: Sandbox) -> None:
    code = "import subprocess; print(subprocess.check_output(['python3', '-c', {!r}], text=True))"
    shown = "import os, tempfile; print(os.environ.get('TMPDIR'), tempfile.gettempdir().replace('/', '|'))"
    assert sandbox.python(code.format(shown)) == "None |tmp\n\n"
