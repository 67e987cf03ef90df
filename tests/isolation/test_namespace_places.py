"""Namespace isolation as different users, and wherever the temp directory lies."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from podflare_emulator import Emulator

from ..matrix import SLOW
from ..other_users import ROOTLESS, entered, imports, prepared, python_for

# What every place must give: files, forks that take them along, a root that is the sandbox's own, and its limits.
PROGRAM = """
import sys
from podflare import Sandbox
from podflare_emulator import Emulator

emulator = Emulator(isolation="namespace", pool_size=1, files_on_disk=sys.argv[1] == "disk")
with emulator, Sandbox(host=emulator.url) as parent:
    parent.run_code("import os; open('/root/a', 'w').write('1'); os.rmdir('/srv'); x = [1]")
    left, right = parent.fork(2)
    with left, right:
        left.run_code("x.append(2); open('/root/a', 'a').write('2'); open('/anywhere', 'w').close()")
        print(left.run_code("print(x, open('/root/a').read(), os.path.exists('/srv'))").stdout)
        print(right.run_code("cat /root/a; ls -d /anywhere /srv 2> /dev/null", language="bash").stdout)
        print(right.diff(left, paths=["/root"]))
    print(parent.run_code("id -u; whoami; hostname", language="bash").stdout)
    with Sandbox(host=emulator.url, egress=False, ram_mib=256, rootfs_gb=1) as limited:
        limited.run_code("import os, shutil, socket")
        print(limited.run_code("print(shutil.disk_usage('/').total, socket.if_nameindex())").stdout)
        print(limited.run_code("x = bytes(2**30)").stderr.splitlines()[-1])
    parent.run_code("os.mkdir('/root/many'); [open(f'/root/many/{n}', 'w').close() for n in range(400)]")
    parent.run_code("touch /usr/local/bin/new; rm /usr/bin/env", language="bash")
    (child,) = parent.fork(1)
    with child:
        print(child.run_code("os.rename('/root/many', '/root/moved'); print(len(os.listdir('/root/moved')))").stdout)
        look = child.run_code("ls /usr/local/bin/new; ls /usr/bin/env", language="bash").stdout
    mounts = parent.run_code("print(open('/proc/self/mountinfo').read())").stdout.splitlines()
    (root,) = (line for line in mounts if line.split()[4] == "/")
    layered = "upperdir=/state/" in root
    assert look == ("/usr/local/bin/new" if layered else "/usr/bin/env"), look
    print(layered and root.count("/upper") == 2)
"""
EXPECTED = [
    "[1, 2] 12 False",
    "1",
    "{'added': [], 'removed': [], 'modified': ['/root/a']}",
    "0\nroot\nsandbox",
    f"{2**30} [(1, 'lo')]",
    "MemoryError",
    "400",
]
USER = 54321  # nobody's


@pytest.fixture
def run(namespace_emulator: Emulator) -> Callable[..., bool]:
    """`run(words_before=(), temporary=None, user=None, files="memory")`: checks what PROGRAM prints.

    Returns whether jails were layers over the base tree, and shared with forks; else they were copies.
    """

    def run(
        words_before: Sequence[str] = (),
        *,
        temporary: Path | None = None,
        user: int | None = None,
        files: str = "memory",
    ) -> bool:
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(imports())}
        if temporary is not None:
            environment["TMPDIR"] = str(temporary)
        python = sys.executable if user is None else python_for(user, environment)
        done = subprocess.run(
            [*words_before, python, "-c", PROGRAM, files],
            env=environment,
            cwd="/",
            user=user,
            group=user,
            extra_groups=None if user is None else [],
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        expected = "\n".join(EXPECTED) + "\n"
        assert done.stdout.startswith(expected)
        return done.stdout.removeprefix(expected) == "True\n"

    return run


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory that anybody may write, as /tmp is."""
    with tempfile.TemporaryDirectory(prefix="podflare-place-") as name:
        Path(name).chmod(0o1777)
        yield Path(name)


@SLOW
def test_as_root(run: Callable[..., bool]) -> None:
    if os.getuid() != 0:
        pytest.skip("the tests do not run as root")
    run()


@SLOW
@pytest.mark.parametrize("files", ["memory", "disk"])
def test_as_an_ordinary_user(run: Callable[..., bool], directory: Path, files: str) -> None:
    run(temporary=directory, user=USER if os.getuid() == 0 else None, files=files)


@SLOW
def test_as_root_of_a_user_namespace(run: Callable[..., bool]) -> None:
    """As in a container without privileges: there is one user, and it is called root."""
    run(entered(*ROOTLESS))


@SLOW
def test_with_the_temp_directory_on_a_tmpfs(run: Callable[..., bool], directory: Path) -> None:
    run(_mounted("-t tmpfs tmpfs", directory), temporary=directory)


@SLOW
def test_with_the_temp_directory_on_an_overlay(run: Callable[..., bool], directory: Path) -> None:
    """As in a container, whose root is one: overlays do not lie over overlays, so jails on disk are copies."""
    options = ",".join(f"{layer}={directory}/{layer}" for layer in ("lowerdir", "upperdir", "workdir"))
    for layer in ("lowerdir", "upperdir", "workdir", "merged"):
        (directory / layer).mkdir()
    merged = directory / "merged"
    run(_mounted(f"-t overlay overlay -o {options}", merged), temporary=merged)
    assert not run(_mounted(f"-t overlay overlay -o {options}", merged), temporary=merged, files="disk")


@SLOW
def test_on_a_machine_whose_etc_is_bare(run: Callable[..., bool]) -> None:
    """No resolver, no certificates, no users: a minimal container's."""
    run(prepared("mount -t tmpfs none /etc"))


@SLOW
@pytest.mark.parametrize(
    ("namespaces", "preparation", "reason"),
    [
        ((), "mount -t tmpfs none /proc/fs", "mount proc on /proc: Operation not permitted"),
        (ROOTLESS, "echo 0 > /proc/sys/user/max_user_namespaces", "unshare: No space left on device"),
        (ROOTLESS, "echo 0 > /proc/sys/user/max_mnt_namespaces", "unshare: No space left on device"),
    ],
    ids=["proc is masked, as by Docker", "no user namespaces", "user namespaces without mounts"],
)
@pytest.mark.usefixtures("namespace_emulator")
def test_where_it_cannot_be_had_auto_takes_another_and_tells_the_kernels_words(
    namespaces: tuple[str, ...], preparation: str, reason: str
) -> None:
    program = """
from podflare_emulator import Emulator
with Emulator(pool_size=0) as emulator:
    print(emulator.isolation)
    print(emulator.refusals[0])
"""
    done = subprocess.run(
        [*prepared(preparation, *namespaces), sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(imports())},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    isolation, refusal = done.stdout.splitlines()
    assert isolation in ("preload", "portable")
    assert refusal.startswith("namespace isolation is not available here: ")
    assert reason in refusal


def _mounted(what: str, place: Path) -> list[str]:
    """Words that run a command where something is mounted at `place`, for it alone."""
    return prepared(f"mount {what} {place} && chmod 1777 {place}")
