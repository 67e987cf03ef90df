"""Landlock: what is outside the allowed directories can be read, not written, by a process and all it starts."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from podflare_emulator.guest.system import landlock

GUEST = str(Path(landlock.__file__).parents[1])

pytestmark = pytest.mark.skipif(landlock.abi() == 0, reason="this kernel has no Landlock")

RESTRICT = """
import os, sys, types
package = types.ModuleType("podflare_guest")
package.__path__ = [sys.argv[1]]
sys.modules["podflare_guest"] = package
from podflare_guest.system import landlock
inside, outside = sys.argv[2:]
"""


def restricted(tmp_path: Path, code: str) -> str:
    """What `code` prints in a process that knows the directories `inside` and `outside`."""
    for name in ("inside", "outside"):
        (tmp_path / name).mkdir(exist_ok=True)
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-c",
            RESTRICT + textwrap.dedent(code),
            GUEST,
            *map(str, map(tmp_path.joinpath, ("inside", "outside"))),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_writing_inside_works_for_the_process_and_its_children(tmp_path: Path) -> None:
    said = restricted(
        tmp_path,
        """
        version = landlock.restrict_writes([inside, "/dev/null", "/nowhere", inside + "/none"])
        print(version == landlock.abi() > 0)
        os.makedirs(inside + "/a/b"); open(inside + "/a/f", "w").write("1")
        os.truncate(inside + "/a/f", 0); os.symlink("f", inside + "/a/l"); os.mkfifo(inside + "/a/p")
        open("/dev/null", "w").write("1")
        sys.stdout.flush()
        os.system(f"cd {inside} && mkdir c && echo 2 > c/g && bash -c 'cat c/g > /dev/null; rm -r c' && echo done")
        """,
    )
    assert said == "True\ndone\n"


@pytest.mark.skipif(
    landlock.abi() < 2, reason="before ABI 2 the kernel refuses to move files between directories"
)
def test_files_move_between_directories_inside(tmp_path: Path) -> None:
    said = restricted(
        tmp_path,
        """
        landlock.restrict_writes([inside])
        os.mkdir(inside + "/a"); os.mkdir(inside + "/b"); open(inside + "/a/f", "w").close()
        os.rename(inside + "/a/f", inside + "/b/f"); os.link(inside + "/b/f", inside + "/a/g")
        print(sorted(os.listdir(inside + "/b")))
        """,
    )
    assert said == "['f']\n"


@pytest.mark.parametrize(
    "attempt",
    [
        "open(outside + '/f', 'w')",
        "open(outside + '/kept', 'a')",
        "open('/dev/zero', 'w')",
        "os.mkdir(outside + '/d')",
        "os.unlink(outside + '/kept')",
        "os.rmdir(outside + '/empty')",
        "os.symlink('x', outside + '/l')",
        "os.mkfifo(outside + '/p')",
        "os.rename(outside + '/kept', outside + '/other')",
        "os.rename(outside + '/kept', inside + '/stolen')",
        "os.link(outside + '/kept', inside + '/linked')",
        "subprocess.run(['touch', outside + '/f'], check=True)",
        "subprocess.run(['bash', '-c', 'echo 1 > $0/f', outside], check=True)",
        "subprocess.run(['sh', '-c', 'sh -c \"setsid mkdir $0/d\"', outside], check=True)",
        "subprocess.run([sys.executable, '-c', 'import os, sys; os.mkdir(sys.argv[1])', outside + '/d'], check=True)",
    ],
)
def test_writing_outside_is_refused(tmp_path: Path, attempt: str) -> None:
    outside = tmp_path / "outside"
    (outside / "empty").mkdir(parents=True)
    (outside / "kept").write_text("kept")

    said = restricted(
        tmp_path,
        f"""
        import subprocess
        landlock.restrict_writes([inside, "/dev/null"])
        try: {attempt}
        except (OSError, subprocess.CalledProcessError): print("refused")
        """,
    )

    assert said.endswith("refused\n")
    assert sorted(os.listdir(outside)) == ["empty", "kept"]
    assert (outside / "kept").read_text() == "kept"


@pytest.mark.skipif(landlock.abi() < 3, reason="before ABI 3 the kernel does not watch truncate(2)")
def test_truncating_outside_is_refused(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/kept").write_text("kept")
    said = restricted(tmp_path, "landlock.restrict_writes([inside]); os.truncate(outside + '/kept', 0)")
    assert "PermissionError" in said
    assert (tmp_path / "outside/kept").read_text() == "kept"


def test_reading_stays_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").write_text("read")
    said = restricted(
        tmp_path,
        """
        landlock.restrict_writes([inside])
        print(open(outside + "/f").read(), os.listdir(outside), open("/etc/passwd").readable())
        """,
    )
    assert said == "read ['f'] True\n"


def test_a_single_file_can_be_allowed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/f").touch()
    said = restricted(
        tmp_path,
        """
        landlock.restrict_writes([outside + "/f"])
        open(outside + "/f", "w").write("1"); print(open(outside + "/f").read())
        try: os.unlink(outside + "/f")
        except PermissionError: print("refused")
        """,
    )
    assert said == "1\nrefused\n"


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that the restricted one has not started."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


@pytest.mark.skipif(landlock.abi() < 6, reason="before ABI 6 Landlock does not know signals")
@pytest.mark.parametrize(("scope_signals", "outcome"), [(True, "refused"), (False, "signalled")])
def test_only_processes_of_ones_own_can_be_signalled(
    tmp_path: Path, stranger: int, scope_signals: bool, outcome: str
) -> None:
    said = restricted(
        tmp_path,
        f"""
        import signal, subprocess
        landlock.restrict_writes([inside, "/dev/null"], scope_signals={scope_signals})
        own = subprocess.Popen(["sleep", "60"])
        own.kill(); print(own.wait())
        try: os.kill({stranger}, signal.SIGCONT); print("signalled")
        except PermissionError: print("refused")
        shell = subprocess.run(["bash", "-c", "kill -CONT {stranger} 2>/dev/null"])
        print("refused" if shell.returncode else "signalled")
        """,
    )
    assert said.splitlines() == ["-9", outcome, outcome]


def test_a_second_restriction_narrows_the_first(tmp_path: Path) -> None:
    said = restricted(
        tmp_path,
        """
        os.mkdir(inside + "/a")
        landlock.restrict_writes([inside]); landlock.restrict_writes([inside + "/a", outside])
        open(inside + "/a/f", "w").close()
        for place in (inside, outside):
            try: open(place + "/f", "w")
            except PermissionError: print("refused")
        """,
    )
    assert said == "refused\nrefused\n"


def test_a_kernel_without_it_restricts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert landlock.abi() == 0
    assert landlock.restrict_writes(["/dev/null"]) is None
