"""What programs write to a machine's system: each as a user would run it, on every backend.

What must fail on a backend has the reason; docs/fidelity.md has a row for it.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator
from podflare_emulator.guest.system import landlock

from ..isolation import wheel
from ..matrix import SLOW
from ..serving import serving
from . import debian_package

READ_ONLY = "the system is the host's, which only Landlock keeps from being written"


class Program(NamedTuple):
    code: str
    output: str
    needs: tuple[str, ...] = ()
    preload: str = ""  # why it must fail there
    portable: str = ""


PROGRAMS = {
    "a tool": Program(
        "printf '#!/bin/sh\necho works\n' > /usr/local/bin/podflare-test && chmod +x /usr/local/bin/podflare-test\n"
        "podflare-test",
        "works",
        preload=READ_ONLY,
        portable=READ_ONLY,
    ),
    "make install": Program(
        r"""
mkdir -p /root/made && cd /root/made
printf 'install:\n\tinstall -D -m 755 tool /usr/local/bin/podflare-made\n' > Makefile
printf '\tinstall -D -m 644 tool /usr/local/share/podflare-made/manual\n' >> Makefile
printf '#!/bin/sh\necho made\n' > tool
make --silent install && podflare-made && test -s /usr/local/share/podflare-made/manual
""",
        "made",
        ("make",),
        preload=READ_ONLY,
        portable=READ_ONLY,
    ),
    "npm install --global": Program(
        r"""
mkdir -p /root/npm && cd /root/npm
printf '{"name": "podflare-npm", "version": "1.0.0", "bin": "tool.js"}' > package.json
printf '#!/usr/bin/env node\nconsole.log(42)\n' > tool.js
npm pack --silent > /dev/null && npm install --global --offline --silent ./podflare-npm-1.0.0.tgz && podflare-npm
""",
        "42",
        ("npm", "node"),
        preload=READ_ONLY,
        portable=READ_ONLY,
    ),
    "ldconfig": Program(
        "echo /opt/lib > /etc/ld.so.conf.d/podflare-test.conf && ldconfig && test -s /etc/ld.so.cache && echo done",
        "done",
        ("ldconfig",),
        preload=READ_ONLY,
        portable=READ_ONLY,
    ),
    "update-alternatives": Program(
        "printf '#!/bin/sh\necho works\n' > /root/tool && chmod +x /root/tool\n"
        "update-alternatives --quiet --install /usr/bin/podflare-test podflare-test /root/tool 10 && podflare-test",
        "works",
        ("update-alternatives",),
        preload=READ_ONLY,
        portable=READ_ONLY,
    ),
    "dpkg --install": Program(
        debian_package.BUILD
        + "dpkg --install greeting.deb > /dev/null && greeting && dpkg --status greeting | grep Status",
        "hello\nStatus: install ok installed",
        ("dpkg", "dpkg-deb"),
        preload=READ_ONLY,
        portable=READ_ONLY,
    ),
    "apt-get install of a file": Program(
        debian_package.BUILD + "apt-get install --quiet=2 --yes ./greeting.deb > /dev/null 2>&1 && greeting\n"
        "dpkg --remove greeting > /dev/null && ls /usr/bin/greeting 2> /dev/null | wc -l",
        "hello\n0",
        ("apt-get", "dpkg-deb"),
        preload=READ_ONLY,
        portable=READ_ONLY,
    ),
    "dpkg --list": Program("dpkg --list dpkg | grep -c '^ii'", "1", ("dpkg",)),
    "a program of the host's is replaced": Program(
        "sed -i '1a echo mended' /usr/bin/ldd && ldd --version | head -n 1\n"
        "rm /usr/bin/ldd && ! test -e /usr/bin/ldd",
        "mended",
        ("ldd",),
        preload=READ_ONLY,
        portable=READ_ONLY,
    ),
    "unlink of nothing": Program(
        "unlink /usr/bin/there-is-none 2>&1 | grep -o 'No such file or directory'",
        "No such file or directory",
    ),
}


@pytest.fixture
def system(machine_emulator: Emulator, machine: Sandbox) -> Sandbox:
    if machine_emulator.isolation != "namespace" and not landlock.abi():
        pytest.skip("nothing would keep these programs from the host's own system")
    return machine


def bash(sandbox: Sandbox, code: str) -> str:
    result = sandbox.run_code(code, language="bash")
    assert (result.stderr, result.exit_code) == ("", 0)
    return result.stdout


@SLOW
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program(
    name: str, system: Sandbox, machine_emulator: Emulator, request: pytest.FixtureRequest
) -> None:
    program = PROGRAMS[name]
    for need in program.needs:
        if not (shutil.which(need) or shutil.which(need, path="/usr/sbin:/sbin")):
            pytest.skip(f"{need} is not installed")
    reason = {"preload": program.preload, "portable": program.portable}.get(machine_emulator.isolation, "")
    if reason:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))
    assert bash(system, program.code) == program.output


def test_what_was_written_goes_into_forks_and_nowhere_else(
    namespace_emulator: Emulator, namespace_sandbox: Callable[..., Sandbox]
) -> None:
    parent = namespace_sandbox()
    bash(
        parent,
        "mkdir -p /usr/local/etc; echo 1 > /usr/local/etc/podflare-test; "
        "rm /usr/bin/env; chmod 700 /usr/local/bin; mkdir -p /opt/a/b",
    )
    (child,) = parent.fork(1)
    with child:
        look = "cat /usr/local/etc/podflare-test; ls -d /usr/bin/env /opt/a/b 2> /dev/null; stat -c %a /usr/local/bin"
        assert bash(child, look) == "1\n/opt/a/b\n700"
        bash(child, "echo 2 >> /usr/local/etc/podflare-test; rmdir /opt/a/b")
        assert child.run_code("open('/usr/local/etc/podflare-test').read()").exit_code == 0
        assert bash(parent, look) == "1\n/opt/a/b\n700"
        (grandchild,) = child.fork(1)
        with grandchild:
            assert bash(grandchild, "cat /usr/local/etc/podflare-test; ls /opt/a") == "1\n2"
        difference = parent.diff(child, paths=["/usr/local/etc"])
        assert difference["modified"] == ["/usr/local/etc/podflare-test"]
        parent.merge_into(child)
    assert bash(parent, "cat /usr/local/etc/podflare-test") == "1\n2"
    assert not Path("/usr/local/etc/podflare-test").exists()
    assert Path("/usr/bin/env").exists()
    assert (
        bash(namespace_sandbox(), "ls /usr/bin/env; ls /usr/local/etc | grep -c podflare-test; true")
        == "/usr/bin/env\n0"
    )


@SLOW
def test_files_of_etc_that_a_sandbox_may_change_are_its_roots(
    namespace_sandbox: Callable[..., Sandbox],
) -> None:
    assert bash(namespace_sandbox(), "find /etc/alternatives/ /etc/ssl/ -not -user root") == ""


@SLOW
def test_a_fork_by_replay_has_it_too() -> None:
    with serving("namespace", fork="replay") as emulator, Sandbox(host=emulator.url) as parent:
        bash(parent, "echo 1 > /usr/local/podflare-test; mkdir -p /opt/a/b; rm /usr/bin/env")
        (child,) = parent.fork(1)
        with child:
            look = "cat /usr/local/podflare-test; ls -d /usr/bin/env /opt/a/b 2> /dev/null; true"
            assert bash(child, look) == "1\n/opt/a/b"


def test_an_open_file_of_the_system_is_the_childs_own(namespace_sandbox: Callable[..., Sandbox]) -> None:
    parent = namespace_sandbox()
    code = """
import mmap
file = open("/usr/local/podflare-test", "w+b", buffering=0)
file.write(b"parent")
mapped = mmap.mmap(file.fileno(), 6)
"""
    assert parent.run_code(code).exit_code == 0
    (child,) = parent.fork(1)
    with child:
        assert child.run_code("_ = file.write(b' child'); mapped[:6] = b'CHILD!'").stderr == ""
        assert bash(child, "cat /usr/local/podflare-test") == "CHILD! child"
    assert bash(parent, "cat /usr/local/podflare-test") == "parent"


@SLOW
def test_a_sandbox_with_a_disk_of_its_own_writes_there(namespace_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = namespace_sandbox(rootfs_gb=1)
    assert bash(sandbox, "echo 1 > /usr/local/x; df --output=size /usr/local/x | tail -1") != ""
    fill = sandbox.run_code("head -c 1100000000 /dev/zero > /usr/local/x", language="bash")
    assert "No space left on device" in fill.stderr


def test_secrets_stay_out(namespace_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = namespace_sandbox()
    assert bash(sandbox, "find /root /home /run /tmp /etc/ssl -type f | grep -c private; true") == "0"
    for path in ("/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh", "/etc/apt/auth.conf"):
        assert sandbox.run_code(f"cat {path}", language="bash").exit_code == 1
    assert sandbox.run_code("ls /state /proc/1/root/state", language="bash").stdout == ""


@SLOW
def test_pip_installs_and_uninstalls_a_program(machine: Sandbox, machine_emulator: Emulator) -> None:
    if machine.run_code("import pip").exit_code:
        pytest.skip("the guests' Python has no pip")
    machine.upload(wheel.build("tiny", "1.0"), f"/root/{wheel.file_name('tiny', '1.0')}")
    bash(machine, f"pip install --no-index --quiet /root/{wheel.file_name('tiny', '1.0')}")
    assert bash(machine, "python3 -m pip show tiny | grep Version") == "Version: 1.0"
    if machine_emulator.isolation != "portable":  # see tests/isolation/test_pip.py
        assert bash(machine, "tiny") == "1.0"
    bash(machine, "python3 -m pip uninstall --quiet --yes tiny")
    assert machine.run_code("import tiny").exit_code == 1
