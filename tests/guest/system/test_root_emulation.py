"""Root emulation: a change to a foreign owner, group or id succeeds and does nothing; others are the kernel's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from podflare_emulator.guest.system import root_emulation

GUEST = str(Path(root_emulation.__file__).parents[1])

BEGIN = """
import os, sys, types
package = types.ModuleType("podflare_guest")
package.__path__ = [sys.argv[1]]
sys.modules["podflare_guest"] = package
from podflare_guest.system import kernel, root_emulation
file = sys.argv[2]
uid, gid = os.getuid(), os.getgid()
foreign = 12345
kernel.give_up_new_privileges()
try:
    root_emulation.begin()
except OSError as error:
    sys.exit(f"not here: {error}")
"""


def emulated(tmp_path: Path, code: str) -> str:
    """What `code` prints where it is in force, with a `file` and its `uid` and `gid`."""
    file = tmp_path / "file"
    file.touch()
    done = subprocess.run(
        [sys.executable, "-I", "-c", BEGIN + code, GUEST, str(file)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    if done.stderr.startswith("not here"):
        pytest.skip(done.stderr)
    assert done.stderr == ""
    return done.stdout.strip()


@pytest.mark.parametrize(
    "change",
    [
        "os.chown(file, foreign, foreign)",
        "os.chown(file, -1, foreign)",
        "os.lchown(file, foreign, gid)",
        "os.fchown(os.open(file, os.O_RDONLY), foreign, -1)",
        "os.chown(os.path.basename(file), foreign, gid, dir_fd=os.open(os.path.dirname(file), os.O_RDONLY))",
        "os.setuid(foreign)",
        "os.setreuid(-1, foreign)",
        "os.setresuid(uid, foreign, -1)",
        "os.setgid(foreign)",
        "os.setregid(foreign, gid)",
        "os.setresgid(foreign, foreign, foreign)",
        "os.setgroups([foreign])",
    ],
)
def test_a_foreign_id_changes_nothing(tmp_path: Path, change: str) -> None:
    look = "(os.stat(file).st_uid, os.stat(file).st_gid, os.getresuid(), os.getresgid(), os.getgroups())"
    assert emulated(tmp_path, f"before = {look}\n{change}\nprint({look} == before)") == "True"


def test_ids_of_its_own_are_for_the_kernel(tmp_path: Path) -> None:
    code = """
os.chown(file, uid, gid); os.chown(file, -1, -1); os.setresuid(uid, uid, uid); os.setresgid(-1, gid, -1)
try:
    os.chown(file + "-that-is-not-there", uid, -1)
except FileNotFoundError:
    print("not found")
"""
    assert emulated(tmp_path, code) == "not found"


def test_programs_that_it_starts_have_it_too(tmp_path: Path) -> None:
    code = """
import subprocess
print(subprocess.run(["chown", "12345:54321", file]).returncode, os.stat(file).st_uid == uid)
"""
    assert emulated(tmp_path, code) == "0 True"


def test_another_machine_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(root_emulation, "_MACHINES", {})
    with pytest.raises(OSError, match="no filter is known"):
        root_emulation.begin()
