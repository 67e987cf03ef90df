"""Emulators of an ordinary user, without other ids and with ids that the system lends. The tests must run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from podflare_emulator import Emulator

from ..matrix import SLOW
from ..other_users import imports, prepared, python_for
from . import small_tree

pytestmark = [SLOW, pytest.mark.skipif(os.getuid() != 0, reason="the tests do not run as root")]
USER = 54321  # nobody's
LENT = 3_000_000

BEGINNING = """
import sys
from podflare import Sandbox
from podflare_emulator import Emulator

def bash(sandbox, code):
    result = sandbox.run_code(code, language="bash")
    print(result.stdout, result.stderr, result.exit_code)
"""
OWNERS = """
with Emulator(isolation="namespace", pool_size=1) as emulator, Sandbox(host=emulator.url) as parent:
    bash(parent, "echo $(cat /proc/self/uid_map /proc/self/gid_map)")
    bash(parent, "mkdir d && touch d/f && chown -R 1234:4321 d && tar -cf a.tar d && rm -r d && tar -xf a.tar")
    bash(parent, "useradd -m dev && su - dev -c 'id -u; touch mine'")
    (child,) = parent.fork(1)
    with child:
        bash(child, "stat -c '%u %g' d/f; stat -c %U /home/dev/mine")
"""
TREE = """
with Emulator(isolation="namespace", pool_size=1, rootfs=sys.argv[1]) as emulator:
    with Sandbox(host=emulator.url) as parent:
        bash(parent, "cd; echo 1 >> own; echo 2 >> /etc/image; echo 3 > /etc/secret; echo 4 > /var/lib/dpkg/lock")
        bash(parent, "ls /root /srv/1/2/closed; echo 5 > /srv/1/2/closed/new; ls /srv/1/2/3/4/5/closed; /etc/run")
        print(parent.run_code("x = 7; print(open('/etc/image').read(), end='')").stdout)
        (child,) = parent.fork(1)
        with child:
            bash(child, "cat /root/own /etc/image /etc/secret /var/lib/dpkg/lock /srv/1/2/closed/new")
            print(child.run_code("print(x)").stdout)
            print(child.diff(parent, paths=["/root", "/etc", "/srv"]))
    with Sandbox(host=emulator.url, rootfs_gb=1) as sandbox:
        bash(sandbox, "cd; echo 1 > own; cat own")
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that everybody may enter and write, unlike pytest's."""
    with tempfile.TemporaryDirectory(prefix="podflare-place-") as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@pytest.fixture
def lent(directory: Path) -> list[str]:
    """Words that run a command as the user, to whom the system lends ids."""
    for program in ("newuidmap", "newgidmap", "setpriv"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    passwd = Path("/etc/passwd").read_text(encoding="utf-8", errors="surrogateescape")
    contents = {
        "passwd": f"{passwd}podflare-lent:x:{USER}:{USER}::/:/bin/sh\n",
        "subuid": f"podflare-lent:{LENT}:65536\n",
        "subgid": f"{USER}:{LENT}:65536\n",
    }
    for name, text in contents.items():
        (directory / name).write_text(text, encoding="utf-8", errors="surrogateescape")
        (directory / name).chmod(0o644)
    words = prepared(" && ".join(f"mount --bind {directory}/{name} /etc/{name}" for name in contents))
    return [*words, "setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]


@pytest.fixture
def run(namespace_emulator: Emulator, directory: Path) -> Callable[..., list[str]]:
    """`run(program, *arguments, as_user=words)`: what it prints. It must leave nothing in its temp directory."""

    def run(program: str, *arguments: object, as_user: list[str]) -> list[str]:
        temporary = directory / "tmp"
        temporary.mkdir()
        temporary.chmod(0o1777)
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(imports()),
            "TMPDIR": str(temporary),
        }
        words = [*as_user, python_for(USER, environment), "-c", BEGINNING + program, *map(str, arguments)]
        done = subprocess.run(words, env=environment, cwd="/", capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        assert list(temporary.iterdir()) == []
        return done.stdout.splitlines()

    return run


def test_with_lent_ids_a_sandbox_has_real_users(run: Callable[..., list[str]], lent: list[str]) -> None:
    if not shutil.which("useradd", path="/usr/sbin:/usr/bin"):
        pytest.skip("useradd is not installed")
    ids = f"0 {USER} 1 1 {LENT} 65535"
    assert run(OWNERS, as_user=lent) == [
        f"{ids} {ids}  0",
        "  0",
        "1000  0",
        "1234 4321",
        "dev  0",
    ]


def test_doctor_tells_whether_ids_are_lent(directory: Path, lent: list[str]) -> None:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(imports())}
    command = [python_for(USER, environment), "-m", "podflare_emulator", "doctor"]
    for as_user, told in ((lent, "yes"), (lent[lent.index("setpriv") :], "no")):
        done = subprocess.run([*as_user, *command], env=environment, cwd="/", capture_output=True, text=True)
        (row,) = (line for line in done.stdout.splitlines() if line.startswith("users and groups"))
        assert row.split()[3] == told, done.stdout


@pytest.mark.parametrize("ids", ["one", "lent"])
def test_a_system_that_another_user_has_unpacked(
    run: Callable[..., list[str]], directory: Path, ids: str, request: pytest.FixtureRequest
) -> None:
    if missing := small_tree.missing():
        pytest.skip(missing)
    tree = directory / "tree"
    small_tree.build(tree)
    for closed in ("root", "srv/1/2/closed", "srv/1/2/3/4/5/closed"):
        (tree / closed).mkdir(parents=True, exist_ok=True)
        (tree / closed).chmod(0o700)
    (tree / "etc/run").write_text("#!/bin/bash\necho it runs\n")
    (tree / "etc/run").chmod(0o755)
    (tree / "var/lib/dpkg").mkdir(parents=True)
    for closed in ("etc/secret", "var/lib/dpkg/lock"):
        (tree / closed).write_text("of the image\n")
        (tree / closed).chmod(0o640)
    as_user: list[str] = (
        request.getfixturevalue("lent")
        if ids == "lent"
        else ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
    )
    assert run(TREE, tree, as_user=as_user) == [
        "  0",
        "/root:",
        "own",
        "",
        "/srv/1/2/closed:",
        "it runs ls: cannot open directory '/srv/1/2/3/4/5/closed': Permission denied 0",
        "of the image",
        "2",
        "1",
        "of the image",
        "2",
        "3",
        "4",
        "5  0",
        "7",
        "{'added': [], 'removed': [], 'modified': []}",
        "1  0",
    ]
    assert (tree / "etc/image").read_text() == "of the image\n"
