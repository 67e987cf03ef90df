"""bash, and programs that Python or bash start, in a portable sandbox."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap

import pytest

from podflare_emulator.guest.system import landlock

from .conftest import Sandbox

SCRIPTS = {
    "cd /root && pwd": "/root\n",
    "echo 1 > /root/a; echo 2 >> /root/a; cat < /root/a": "1\n2\n",
    "touch /data/{a,b}.csv; for file in /data/*.csv; do echo $file; done": "/data/a.csv\n/data/b.csv\n",
    "mkdir '/root/a b'; touch \"/root/a b/c\"; ls '/root/a b'": "c\n",
    "cat > /root/x <<EOF\n/root/y $HOME\nEOF\ncat /root/x": "/root/y /root\n",
    "cat > /root/x <<'EOF'\n$HOME /root/y\nEOF\ncat /root/x": "$HOME /root/y\n",
    "mkdir -p /root/d; touch /root/d/1 /tmp/2; find /root /tmp -type f | sort": "/root/d/1\n/tmp/2\n",
    "echo $HOME ~; ls -d ~/": "/root /root\n/root/\n",
    "cd /; pwd; ls -d root": "/\nroot\n",
    "mkdir -p /made/up && cd /made/up && pwd": "/made/up\n",
    'X=/data/x; echo 1 > $X; cat $X; cat "${Y:-/data/x}"': "1\n1\n",
    "echo hello | tee /root/t | tr a-z A-Z; sed 's/l/L/; /root/d' /root/t": "HELLO\nheLlo\n",
    "python3 -c \"open('/root/x', 'w').write('1'); import os; print(os.getcwd(), os.listdir('/root'))\"": (
        "/root ['x']\n"
    ),
    "python3 - <<'EOF'\nopen('/data/x', 'w').write('1')\nEOF\ncat /data/x": "1",
    "echo 'import sys; print(sys.argv, open(sys.argv[1]).read())' > /root/s.py; echo 1 > /data/i\n"
    "python3 /root/s.py /data/i": "['/root/s.py', '/data/i'] 1\n\n",
    "tar -czf /root/t.tgz -C /data . && mkdir /tmp/o && tar -xzf /root/t.tgz -C /tmp/o && echo done": "done\n",
    "f=$(mktemp); echo ${f%/*}; rm $f": "/tmp\n",
    "(echo 1 > /root/background) & wait; cat /root/background": "1\n",
    "bash -c 'echo 1 > /root/nested; bash -c \"cat /root/nested\"'": "1\n",
    "sh -c 'cat /root/none' 2>/dev/null || echo none": "none\n",
    "printf '%s\\n' 'cat /root/a' > /data/list; cat /data/list": "cat /root/a\n",
}

SCRIPT_FILE = """\
#!/bin/bash
# keeps /root/out
set -e
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
echo "$0 in $here with $# and $1"
echo 5 > /root/out
[[ ${BASH_SOURCE[0]} == "$0" ]] && cat /root/out
exit 3
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_bash_sees_only_the_sandbox(sandbox: Sandbox, script: str) -> None:
    assert sandbox.bash(script) == SCRIPTS[script]


def test_bash_in_a_directory_whose_name_must_be_quoted(sandbox_in_a_named_place: Sandbox) -> None:
    said = sandbox_in_a_named_place.bash(
        "echo 1 > /root/a; cat /root/* \"/root/a\" '/root/a'; cd / && ls -d root"
    )
    assert said == "1\n1\n1\nroot\n"


@pytest.mark.parametrize(
    "start", ["bash /root/run.sh 'a b'", "/root/run.sh 'a b'", "cd /root && ./run.sh 'a b'"]
)
def test_a_script_file_that_bash_starts_is_mapped(sandbox: Sandbox, start: str) -> None:
    _write_script(sandbox)
    name = "./run.sh" if "./" in start else "/root/run.sh"
    assert sandbox.bash(f"{start}; echo $?") == f"{name} in /root with 1 and a b\n5\n3\n"
    assert sandbox.file("/root/run.sh").read_text() == SCRIPT_FILE


@pytest.mark.parametrize("words", [["bash", "/root/run.sh", "x"], ["/root/run.sh", "x"], ["./run.sh", "x"]])
def test_a_script_file_that_python_starts_is_mapped(sandbox: Sandbox, words: list[str]) -> None:
    _write_script(sandbox)
    said = sandbox.python(f"import subprocess; print(subprocess.run({words!r}).returncode)")
    name = "./run.sh" if "./run.sh" in words else "/root/run.sh"
    assert said == f"{name} in /root with 1 and x\n5\n3\n"


def _write_script(sandbox: Sandbox) -> None:
    sandbox.file("/root/run.sh").write_text(SCRIPT_FILE)
    sandbox.file("/root/run.sh").chmod(0o755)


FROM_PYTHON = {
    "subprocess.run(['cat', '/root/a'])": "1\n",
    "subprocess.run([b'cat', pathlib.Path('/root/a')])": "1\n",
    "subprocess.run('cat /root/a | tee /data/b; cat /data/b', shell=True)": "1\n1\n",
    "subprocess.run(['bash', '-ec', 'cat /root/a'])": "1\n",
    "subprocess.run(['pwd'], cwd='/data')": "/data\n",
    "subprocess.run(['ls', '/'], stdout=subprocess.DEVNULL, env={})": "",
    "subprocess.run(['sh', '-c', 'cat $X; echo $HOME'], env={**os.environ, 'X': '/root/a'})": "1\n/root\n",
    "subprocess.run(['dd', 'if=/root/a', 'of=/data/o', 'status=none']); print(os.path.exists('/data/o'))": "True\n",
    "subprocess.run(['sort', '--output=/data/sorted', '/root/a']); print(open('/data/sorted').read())": "1\n\n",
    "subprocess.run(['sed', '/root/d', '/root/a'])": "1\n",
    "subprocess.run(['echo', '/root/a'])": "/root/a\n",
    "subprocess.run([sys.executable, '-c', 'print(open(\"/root/a\").read())'])": "1\n\n",
    "subprocess.run([sys.executable, '/root/s.py', '/root/a'])": "/root/s.py /root/a\n1\n\n",
    "subprocess.run(['python3', '/root/s.py', '/root/a'], env={'PATH': '/.venv/bin'})": "/root/s.py /root/a\n1\n\n",
    "subprocess.run('python3 s.py /root/a', shell=True)": "s.py /root/a\n1\n\n",
    "subprocess.run(['/root/tool'])": "tool\n",
    "subprocess.run(['tool'], env={'PATH': '/root:/bin:/usr/bin'})": "tool\n",
    "print(os.system('cat /root/a; exit 3') >> 8)": "1\n3\n",
    "print(os.popen('cat /root/a').read())": "1\n\n",
    "os.execv('/root/tool', ['tool'])": "tool\n",
    "os.execvpe('cat', ['cat', '/root/a'], {'PATH': '/usr/bin:/bin'})": "1\n",
    "os.spawnlp(os.P_WAIT, 'cat', 'cat', '/root/a')": "1\n",
    "os.waitpid(os.posix_spawnp('tool', ['tool'], {**os.environ}), 0)": "tool\n",
    "os.waitpid(os.posix_spawn('/bin/cat', ['cat'], {}, file_actions=["
    "(os.POSIX_SPAWN_OPEN, 0, '/root/a', os.O_RDONLY, 0)]), 0)": "1\n",
    "multiprocessing.get_context('spawn').Process(target=print, args=('spawned',)).start()": "spawned\n",
}


@pytest.mark.parametrize("statement", FROM_PYTHON)
def test_what_python_starts_sees_only_the_sandbox(sandbox: Sandbox, statement: str) -> None:
    sandbox.file("/root/a").write_text("1\n")
    sandbox.file("/root/s.py").write_text("import sys; print(*sys.argv); print(open(sys.argv[1]).read())\n")
    sandbox.file("/root/tool").write_text("#!/bin/sh\necho tool\n")
    sandbox.file("/root/tool").chmod(0o755)
    code = "import multiprocessing, os, pathlib, subprocess, sys\nsys.executable = '/.venv/bin/python3'\n"
    search = "os.environ['PATH'] += ':/root'\n"
    assert sandbox.python(code + search + statement + "\n") == FROM_PYTHON[statement]


def test_a_program_that_is_missing_is_missing_by_the_sandboxs_name(sandbox: Sandbox) -> None:
    said = sandbox.python("import subprocess; subprocess.run(['/opt/none'])")
    assert said.endswith("FileNotFoundError: [Errno 2] No such file or directory: '/opt/none'\n")


def test_a_child_python_shows_nothing_of_how_it_is_mapped(sandbox: Sandbox) -> None:
    said = sandbox.bash(
        "python3 -c 'import os, sys; print(*os.environ.values(), sys.path, sys.prefix, sys.executable)'"
    )
    assert "PODFLARE" not in said
    raw = subprocess.run(
        [f"{sandbox.root}/.venv/bin/python3", "-c", "import sys; print(sys.prefix == sys.base_prefix)"],
        capture_output=True,
        text=True,
        env={},
    )
    assert raw.stdout == "False\n", "without the variables the virtual environment is an ordinary one"


def test_installed_packages_are_the_hosts_and_the_sandboxs(sandbox: Sandbox) -> None:
    packages = next(sandbox.file("/.venv/lib").glob("python*/site-packages"))
    (packages / "own.py").write_text("print(__file__)\n")
    assert (
        sandbox.bash("python3 -c 'import own, pytest'")
        == f"{str(packages).removeprefix(sandbox.root)}/own.py\n"
    )


@pytest.mark.skipif(landlock.abi() == 0, reason="this kernel has no Landlock")
def test_what_escapes_the_mapping_is_refused(
    sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside").resolve()
    said = sandbox.python(
        textwrap.dedent(
            f"""
            import ctypes, os, sqlite3, subprocess, sys
            outside = {str(outside)!r}
            libc = ctypes.CDLL(None, use_errno=True)
            print(libc.open(f"{{outside}}/f".encode(), os.O_WRONLY | os.O_CREAT, 0o600), libc.rmdir(outside.encode()))
            base = sqlite3.connect("/root/x.db")
            try: base.execute(f"attach '{{outside}}/y.db' as y")
            except sqlite3.OperationalError: print("sqlite")
            sys.stdout.flush()
            place = {{**os.environ, "PLACE": outside[1:]}}
            for script in ("echo 1 > /$PLACE/g", "mkdir /$PLACE/d", "cd ../../../../../../../..; echo 1 > $PLACE/h",
                           "cp /root/x.db /$PLACE", "rmdir /$PLACE", 'env -i sh -c "touch /$PLACE/i"'):
                print(subprocess.run(["bash", "-c", script], env=place, stderr=subprocess.DEVNULL).returncode != 0)
            """
        )
    )
    assert said.splitlines() == ["-1 -1", "sqlite", *["True"] * 6]
    assert list(outside.iterdir()) == []


def test_the_base_interpreter_is_not_mapped_without_the_variables(sandbox: Sandbox) -> None:
    """The gap that the list in mapping.py names: a Python that is not the sandbox's own."""
    other = shutil.which("python3", path="/usr/bin")
    if other is None or other == sys.executable:
        pytest.skip("no other Python here")
    assert (
        sandbox.bash(f"{other} -c \"import os; print(os.path.exists('/root/marker-of-the-sandbox'))\"")
        == "False\n"
    )


def test_programs_that_python_starts_have_a_place_for_temporary_files(sandbox: Sandbox) -> None:
    code = (
        "import os, subprocess; made = subprocess.check_output(['mktemp'], text=True).strip()\n"
        "print(os.listdir('/tmp') == [os.path.basename(made)])"
    )
    assert sandbox.python(code) == "True\n"
