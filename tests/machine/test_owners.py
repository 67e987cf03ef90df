"""Files of other owners, and becoming another user, as programs do it that run as root."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from podflare import Sandbox
from podflare_emulator.guest.system import landlock

pytestmark = pytest.mark.skipif(
    landlock.abi() == 0, reason="an ordinary user's root emulation takes Landlock"
)

ARCHIVE = """
mkdir -p /root/d/e
echo text > /root/d/e/f
chmod 640 /root/d/e/f
chmod 750 /root/d/e
touch -d 2001-02-03T00:00:00Z /root/d/e/f /root/d/e
"""
LOOK = " && TZ=UTC stat -c '%a %y' {0}/e {0}/e/f | cut -c1-14"
AS_PACKED = "750 2001-02-03\n640 2001-02-03"


def bash(sandbox: Sandbox, code: str) -> str:
    result = sandbox.run_code(code, language="bash")
    assert (result.stderr, result.exit_code) == ("", 0)
    return result.stdout


@pytest.mark.parametrize(
    "program",
    [
        "cd /root && tar --owner=1000 --group=1000 -czf a.tgz d && rm -r d && tar xzf a.tgz"
        + LOOK.format("d"),
        "cd /root && chown -R 1234:4321 d && cp -a d copy" + LOOK.format("copy"),
        "cd /root && chown -R 1234:4321 d && rsync -a d/ copy" + LOOK.format("copy"),
        "cd /root && chown -R nobody:nogroup d" + LOOK.format("d"),
        "cd /root && chown -h 1234 d/e/f && chgrp 4321 d/e/f" + LOOK.format("d"),
    ],
    ids=["tar", "cp", "rsync", "chown", "chgrp"],
)
def test_a_program_that_gives_files_away_keeps_modes_and_times(machine: Sandbox, program: str) -> None:
    if "rsync" in program and not shutil.which("rsync"):
        pytest.skip("rsync is not installed")
    bash(machine, ARCHIVE)
    assert bash(machine, program) == AS_PACKED


def test_install_with_an_owner(machine: Sandbox) -> None:
    assert bash(machine, "install -d -m 700 -o 1234 -g 4321 /root/d && stat -c %a /root/d") == "700"


def test_tarfile_extracts_as_root_with_modes_and_times(machine: Sandbox) -> None:
    code = """
import io, os, tarfile
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w") as archive:
    member = tarfile.TarInfo("e")
    member.type, member.uid, member.gid, member.mode, member.mtime = tarfile.DIRTYPE, 1234, 4321, 0o750, 10**9
    archive.addfile(member)
packed.seek(0)
with tarfile.open(fileobj=packed) as archive:
    archive.extractall("/root/x")
print(oct(os.stat("/root/x/e").st_mode), int(os.stat("/root/x/e").st_mtime))
"""
    result = machine.run_code(code)
    assert (result.stdout, result.stderr) == ("0o40750 1000000000", "")


@pytest.mark.parametrize(
    "code",
    [
        "import os; open('f', 'w').close(); os.chown('f', 1234, 4321); os.lchown('f', -1, 4321)",
        "import shutil; open('f', 'w').close(); shutil.chown('f', 'nobody', 'nogroup')",
        "import subprocess; subprocess.run(['true'], user='nobody', group='nogroup', extra_groups=[5], check=True)",
    ],
    ids=["os.chown", "shutil.chown", "subprocess"],
)
def test_python_gives_away_files_and_itself(machine: Sandbox, code: str) -> None:
    result = machine.run_code(code)
    assert (result.stderr, result.exit_code) == ("", 0)


def test_a_fork_goes_on_with_it(machine: Sandbox) -> None:
    (child,) = machine.fork(1)
    with child:
        assert bash(child, "touch f && chown 1234:4321 f && echo done") == "done"


def test_owners_are_what_was_asked_for_or_still_root(namespace_sandbox: Callable[..., Sandbox]) -> None:
    """Whoever can give a sandbox many ids does; else changes succeed without effect."""
    sandbox = namespace_sandbox()
    (child,) = sandbox.fork(1)
    ids = int(bash(sandbox, "awk '{ count += $3 } END { print count }' /proc/self/uid_map"))
    for machine in (sandbox, child):
        expected = ("1234 4321", "1234", "-1") if ids >= 1 << 16 else ("0 0", "0", "0")
        found = (
            bash(machine, "touch f; chown 1234:4321 f; stat -c '%u %g' f"),
            bash(machine, "setpriv --reuid 1234 --regid 4321 --clear-groups id -u"),
            machine.run_code("import os; print(os.stat('f').st_uid and -1)").stdout,
        )
        assert found == expected
    child.close()


def test_a_user_is_added_and_a_program_run_as_them(namespace_sandbox: Callable[..., Sandbox]) -> None:
    if not (shutil.which("useradd") or shutil.which("useradd", path="/usr/sbin")):
        pytest.skip("useradd is not installed")
    sandbox = namespace_sandbox()
    bash(sandbox, "useradd -m -s /bin/bash dev && chown -R dev:dev /home/dev")
    assert bash(sandbox, "su - dev -c 'pwd; echo $USER'") == "/home/dev\ndev"


def test_a_package_of_another_owner_s_files_is_installed(namespace_sandbox: Callable[..., Sandbox]) -> None:
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg is not installed")
    sandbox = namespace_sandbox()
    control = "Package: greeting\\nVersion: 1\\nArchitecture: all\\nMaintainer: a <a@b.c>\\nDescription: d\\n"
    bash(
        sandbox,
        f"""
mkdir -p package/DEBIAN package/opt/greeting database/info database/updates
printf '{control}' > package/DEBIAN/control
echo hello > package/opt/greeting/text
chown -R 1234:4321 package/opt
touch database/status
dpkg-deb --build package greeting.deb > /dev/null
""",
    )
    sandbox.run_code("dpkg --admindir=/root/database -i greeting.deb", language="bash")
    assert bash(sandbox, "cat /opt/greeting/text") == "hello"
    assert bash(sandbox, "dpkg --admindir=/root/database -s greeting | grep Status") == (
        "Status: install ok installed"
    )
