"""Under preload and portable isolation the host's files are there; no way of writing them is."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from pathlib import Path

import pytest

from podflare import Language, Sandbox
from podflare_emulator import Emulator
from podflare_emulator.guest.system import landlock

pytestmark = pytest.mark.skipif(landlock.abi() < 3, reason="the kernel's Landlock does not refuse all of it")

# `outside` is a directory of the host's that holds a file, `kept`, and an empty directory, `empty`.
PYTHON = {
    "open": "open(outside + '/new', 'w').write('x')",
    "open to append": "open(outside + '/kept', 'a').write('x')",
    "os.open": "os.close(os.open(outside + '/new', os.O_CREAT | os.O_WRONLY))",
    "os.truncate": "os.truncate(outside + '/kept', 0)",
    "mkdir": "os.mkdir(outside + '/new')",
    "mkfifo": "os.mkfifo(outside + '/new')",
    "symlink": "os.symlink('/etc/passwd', outside + '/new')",
    "link": "os.link(outside + '/kept', outside + '/new')",
    "rename": "os.rename(outside + '/kept', outside + '/new')",
    "take it away": "os.replace(outside + '/kept', '/root/taken')",
    "unlink": "os.unlink(outside + '/kept')",
    "rmdir": "os.rmdir(outside + '/empty')",
    "rmtree": "shutil.rmtree(outside)",
    "copy": "shutil.copy('/etc/passwd', outside + '/new')",
    "pathlib": "pathlib.Path(outside, 'new').write_text('x')",
    "sqlite3": "sqlite3.connect(outside + '/new').execute('create table t (x)')",
    "by a descriptor of the directory": "os.open('new', os.O_CREAT | os.O_WRONLY, dir_fd=os.open(outside, 0))",
    "by the kernel's root": "open('/proc/self/root' + outside + '/new', 'w')",
    "by way of a system directory": "os.chdir('/usr'); open('..' + outside + '/new', 'w')",
    "C": "libc.creat((outside + '/new').encode(), 0o600)",
    "C's stdio": "libc.fopen((outside + '/new').encode(), b'w')",
    "a raw system call": "libc.syscall(OPENAT, -100, (outside + '/new').encode(), os.O_CREAT | os.O_WRONLY, 0o600)",
    "a raw system call, mkdir": "libc.syscall(MKDIRAT, -100, (outside + '/new').encode(), 0o700)",
    "os.system": "os.system(f'echo x > {outside}/new')",
    "a child with an empty environment": "subprocess.run(['/bin/sh', '-c', f'echo x > {outside}/new'], env={})",
    "a child of a child": "subprocess.run(['sh', '-c', f'sh -c \"setsid touch {outside}/new\"'])",
    "another Python": "subprocess.run([sys.executable, '-c', f'open({outside + \"/new\"!r}, \"w\")'])",
    "a Python without site": "subprocess.run([sys.executable, '-S', '-c', f'open({outside + \"/new\"!r}, \"w\")'])",
    "posix_spawn": "os.waitpid(os.posix_spawn('/bin/touch', ['touch', outside + '/new'], {}), 0)",
    "a fork": "pid = os.fork() or (libc.creat((outside + '/new').encode(), 0o600), os._exit(0)); os.waitpid(pid, 0)",
    "without the variables": "os.unsetenv('LD_PRELOAD'); os.unsetenv('FAKECHROOT_BASE'); open(outside + '/new', 'w')",
}
BASH = {
    "redirection": "echo x > $O/new",
    "redirection to append": "echo x >> $O/kept",
    "cp": "cp /etc/passwd $O/new",
    "mv": "mv $O/kept $O/new",
    "ln": "ln -s /etc/passwd $O/new",
    "tar": "cd /root; echo x > new; tar cf t.tar new; tar xf t.tar -C $O",
    "tee": "echo x | tee $O/new",
    "sed": "sed -i s/kept/changed/ $O/kept",
    "dd": "dd if=/dev/zero of=$O/kept bs=1 count=1",
    "install": "install -m 700 /bin/true $O/new",
    "truncate": "truncate -s 0 $O/kept",
    "rm": "rm -rf $O",
    "env -i": "env -i /bin/sh -c 'echo x > '$O/new",
    "exec -c": "(exec -c /bin/sh -c 'echo x > '$O/new)",
    "unset": "unset LD_PRELOAD FAKECHROOT_BASE; touch $O/new; /bin/sh -c 'echo x > '$O/new",
    "a daemon": "setsid touch $O/new & wait",
    "a static program": "busybox touch $O/new",
    "perl": "perl -e 'open(my $f, \">\", $ARGV[0])' $O/new",
}
NUMBERS = {"x86_64": (257, 258, 268), "aarch64": (56, 34, 53)}  # openat, mkdirat, fchmodat


def prelude(outside: Path) -> str:
    openat, mkdirat, fchmodat = NUMBERS.get(os.uname().machine, (0, 0, 0))
    return (
        "import ctypes, os, pathlib, shutil, sqlite3, subprocess, sys\n"
        f"outside = {str(outside)!r}; OPENAT, MKDIRAT, FCHMODAT = {openat}, {mkdirat}, {fchmodat}\n"
        "libc = ctypes.CDLL(None)\n"
    )


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "empty").mkdir()
    (tmp_path / "kept").write_text("kept")
    return tmp_path


def contents(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text() if path.is_file() else "directory"
        for path in directory.rglob("*")
    }


def attempt(emulator: Emulator, code: str, language: Language) -> None:
    with Sandbox(host=emulator.url) as sandbox:
        sandbox.run_code(code, language)


@pytest.mark.parametrize("way", PYTHON)
def test_python_writes_nothing_outside(directory_emulator: Emulator, outside: Path, way: str) -> None:
    if "raw" in way and os.uname().machine not in NUMBERS:
        pytest.skip("the numbers of this machine's system calls are not known here")
    attempt(directory_emulator, prelude(outside) + PYTHON[way], "python")
    assert contents(outside) == {"empty": "directory", "kept": "kept"}


@pytest.mark.parametrize("exists", [False, True], ids=["", "with a directory of that name in the sandbox"])
@pytest.mark.parametrize("way", BASH)
def test_bash_writes_nothing_outside(
    directory_emulator: Emulator, outside: Path, way: str, exists: bool
) -> None:
    if way == "a static program" and shutil.which("busybox") is None:
        pytest.skip("busybox is not installed")
    makes = f"mkdir -p {outside}/empty; echo kept > {outside}/kept\n" if exists else ""
    attempt(directory_emulator, f"O={outside}\n{makes}{BASH[way]}", "bash")
    assert contents(outside) == {"empty": "directory", "kept": "kept"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="system calls have numbers on Linux")
@pytest.mark.skipif(os.uname().machine not in NUMBERS, reason="the numbers of its system calls are not known")
def test_modes_of_your_own_files_are_not_landlock_s_to_refuse(
    directory_emulator: Emulator, outside: Path
) -> None:
    """The day it does, a row of docs/fidelity.md goes."""
    (outside / "kept").chmod(0o600)
    code = "libc.syscall(FCHMODAT, -100, (outside + '/kept').encode(), 0o640)"
    attempt(directory_emulator, prelude(outside) + code, "python")
    assert (outside / "kept").stat().st_mode & 0o777 == 0o640


def test_semaphores_and_shared_memory_are_the_machine_s(directory_emulator: Emulator) -> None:
    """One name is one object, in every sandbox. The day it is not, a row of docs/fidelity.md goes."""
    name = f"/podflare-test-{os.getpid()}"
    libc = ctypes.CDLL(None, use_errno=True)
    with Sandbox(host=directory_emulator.url) as sandbox:
        made = sandbox.run_code(f"""
            from multiprocessing.shared_memory import SharedMemory
            memory = SharedMemory({name!r}, create=True, size=16)
            memory.buf[:3] = b'yes'
            """)
        assert made.exit_code == 0, made
        with Sandbox(host=directory_emulator.url) as other:
            read = other.run_code(f"""
                from multiprocessing.shared_memory import SharedMemory
                memory = SharedMemory({name!r})
                print(bytes(memory.buf[:3]))
                """)
    libc.shm_unlink(name.encode())
    assert read.stdout == "b'yes'"
