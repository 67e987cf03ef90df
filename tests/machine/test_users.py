"""Real users in a sandbox, where there are ids for them: namespace isolation, as root or with ids that are lent."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Callable

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator
from podflare_emulator.guest.jail.namespace import ids

from ..matrix import SLOW


@pytest.fixture
def sandbox(namespace_sandbox: Callable[..., Sandbox]) -> Sandbox:
    sandbox = namespace_sandbox()
    if int(bash(sandbox, "awk '{ count += $3 } END { print count }' /proc/self/uid_map")) < ids.COUNT:
        pytest.skip("a sandbox has one user here: see `podflare-emulator doctor`")
    return sandbox


def bash(sandbox: Sandbox, code: str) -> str:
    result = sandbox.run_code(code, language="bash")
    assert (result.stderr, result.exit_code) == ("", 0)
    return result.stdout


def test_su_becomes_the_user_who_was_added(sandbox: Sandbox) -> None:
    if not shutil.which("useradd", path="/usr/sbin:/usr/bin"):
        pytest.skip("useradd is not installed")
    assert bash(sandbox, "useradd -m dev && su - dev -c 'id -u; touch mine; stat -c %U mine'") == "1000\ndev"
    assert sandbox.run_code("su - dev -c 'touch /root/x /usr/bin/x'", language="bash").exit_code == 1
    (child,) = sandbox.fork(1)
    with child:
        assert bash(child, "stat -c '%U %a' /home/dev/mine; su - dev -c 'id -un'") == "dev 644\ndev"


def test_a_program_runs_as_nobody(sandbox: Sandbox) -> None:
    code = """
import os, subprocess
subprocess.run(["id", "-u"], user="nobody", extra_groups=[5])
open("f", "w").close()
os.chown("f", 1234, 4321)
print(os.stat("f").st_uid, os.stat("f").st_gid)
"""
    assert sandbox.run_code(code).stdout == "65534\n1234 4321"
    assert bash(sandbox, "setpriv --reuid 65534 --clear-groups id -u") == "65534"


def test_archives_keep_their_owners(sandbox: Sandbox) -> None:
    assert (
        bash(
            sandbox,
            "mkdir d && touch d/f && tar --owner=1234 --group=4321 -cf a.tar d && rm -r d && tar -xf a.tar\n"
            "cp -a d copy && stat -c '%u %g' d/f copy/f",
        )
        == "1234 4321\n1234 4321"
    )


@SLOW
def test_postgresql_runs_as_its_own_user(sandbox: Sandbox) -> None:
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    if not programs or sandbox.run_code("id postgres", language="bash").exit_code:
        pytest.skip("PostgreSQL is not installed")
    directory = os.path.dirname(programs[-1])
    code = f"""
cd / && mkdir /srv/database && chown postgres /srv/database
su postgres -c '
    PATH={directory}:$PATH
    initdb --no-sync -D /srv/database
    pg_ctl -D /srv/database -o "-k /tmp -h \\"\\"" -w start
' > /root/log 2>&1
su postgres -c 'psql -h /tmp -Atc "select 6 * 7"'
su postgres -c '{directory}/pg_ctl -D /srv/database -m immediate stop' > /dev/null
"""
    assert bash(sandbox, code) == "42"


def test_nobody_of_them_is_somebody_of_the_hosts(sandbox: Sandbox, namespace_emulator: Emulator) -> None:
    """Ids that the host's root has mapped are above all that it gives to anybody."""
    maps = [list(map(int, line.split())) for line in bash(sandbox, "cat /proc/self/uid_map").splitlines()]
    for inside, outside, count in maps:
        if outside == os.getuid() and count == 1:
            assert (inside, os.getuid() != 0) == (0, True)
        else:
            assert outside > 65535
