"""`pip install` lands in a directory of the sandbox: importable at once, inherited by forks, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator
from podflare_emulator.hosting.machine.interpreter import find

from ..matrix import SLOW
from . import wheel

INSTALL = "pip install --no-index --quiet /root/{}"


@pytest.fixture(scope="module")
def installed(namespace_emulator: Emulator) -> Iterator[Sandbox]:
    """A sandbox whose REPL has looked for `tiny` in vain, before bash installed it."""
    before = host_packages()
    with Sandbox(host=namespace_emulator.url) as sandbox:
        if sandbox.run_code("import pip").exit_code:
            pytest.skip("the guests' Python has no pip")
        assert "ModuleNotFoundError" in sandbox.run_code("import tiny").stderr
        install(sandbox, "tiny", "1.0")
        yield sandbox
    assert host_packages() == before


@pytest.fixture
def sandbox(installed: Sandbox) -> Iterator[Sandbox]:
    (sandbox,) = installed.fork(1)
    with sandbox:
        yield sandbox


def host_packages() -> dict[str, list[str]]:
    """What lies in the directories that the guests' packages come from."""
    return {path: sorted(os.listdir(path)) for path in find(None).path}


def install(sandbox: Sandbox, name: str, version: str) -> None:
    file = wheel.file_name(name, version)
    sandbox.upload(wheel.build(name, version), f"/root/{file}")
    assert bash(sandbox, INSTALL.format(file)) == ""


def bash(sandbox: Sandbox, code: str) -> str:
    result = sandbox.run_code(code, language="bash")
    assert result.exit_code == 0, result
    return result.stdout


@SLOW
def test_it_is_importable_in_the_same_repl_at_once(installed: Sandbox) -> None:
    assert installed.run_code("import tiny; print(tiny.version)").stdout == "1.0"


def test_it_lands_in_a_directory_of_the_sandbox(sandbox: Sandbox) -> None:
    assert sandbox.run_code("import tiny; print(tiny.__file__)").stdout.startswith("/.venv/lib/")
    assert bash(sandbox, "find / -xdev -name 'tiny*' -not -path '/.venv/*' 2> /dev/null") == (
        "/root/tiny-1.0-py3-none-any.whl"
    )


def test_its_programs_are_on_the_path(sandbox: Sandbox) -> None:
    assert bash(sandbox, "tiny; command -v tiny") == "1.0\n/.venv/bin/tiny"
    assert sandbox.run_code("import os; _ = os.system('tiny')").stdout == "1.0"


def test_other_sandboxes_do_not_see_it(installed: Sandbox, namespace_emulator: Emulator) -> None:
    with Sandbox(host=namespace_emulator.url) as other:
        assert "ModuleNotFoundError" in other.run_code("import tiny").stderr


@SLOW
def test_a_fork_installs_for_itself(installed: Sandbox, sandbox: Sandbox) -> None:
    install(sandbox, "other", "2.0")
    assert bash(sandbox, "tiny && other") == "1.0\n2.0"
    assert installed.run_code("import other").exit_code == 1


@SLOW
def test_it_can_be_uninstalled(sandbox: Sandbox) -> None:
    bash(sandbox, "python -m pip uninstall --quiet --yes tiny")
    assert sandbox.run_code("python3 -c 'import tiny'", language="bash").exit_code == 1
    assert bash(sandbox, "find /.venv -name 'tiny*'") == ""


@SLOW
def test_a_package_of_the_hosts_can_be_replaced_in_the_sandbox(sandbox: Sandbox) -> None:
    install(sandbox, "pluggy", "99.0")
    assert bash(sandbox, "python -c 'import pluggy; print(pluggy.version)'") == "99.0"
    assert version("pluggy") != "99.0"


@SLOW
def test_a_package_of_the_hosts_cannot_be_uninstalled(sandbox: Sandbox) -> None:
    result = sandbox.run_code("pip uninstall --yes pluggy", language="bash")
    assert "outside environment /.venv" in result.stdout + result.stderr
    assert sandbox.run_code("import pluggy").exit_code == 0


def test_a_virtual_environment_can_be_made_inside(sandbox: Sandbox) -> None:
    code = """
python3 -m venv --without-pip /root/env
/root/env/bin/python -m zipfile -e /root/tiny-1.0-py3-none-any.whl /root/env/lib/python3*/site-packages
/root/env/bin/python -c 'import tiny, sys; print(tiny.version, sys.prefix)'
"""
    assert bash(sandbox, code) == "1.0 /root/env"
