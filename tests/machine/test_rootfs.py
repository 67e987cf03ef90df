"""A system that is brought along: every sandbox has it, and none changes it."""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.settings import SettingsError

from ..matrix import SLOW
from ..serving import serving
from . import debian_package, small_tree


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := small_tree.missing():
        pytest.skip(missing)
    tree = tmp_path_factory.mktemp("rootfs") / "tree"
    small_tree.build(tree)
    return tree


@pytest.fixture(scope="module")
def emulator(tree: Path) -> Iterator[Emulator]:
    with serving("namespace", rootfs=tree) as emulator:
        yield emulator


@pytest.fixture
def sandbox(emulator: Emulator) -> Iterator[Sandbox]:
    with Sandbox(host=emulator.url) as sandbox:
        yield sandbox


def bash(sandbox: Sandbox, code: str) -> str:
    result = sandbox.run_code(code, language="bash")
    assert (result.stderr, result.exit_code) == ("", 0)
    return result.stdout


@SLOW
def test_a_sandbox_has_its_files_and_programs_and_no_others(sandbox: Sandbox) -> None:
    assert bash(sandbox, "cat /etc/image /root/file; id -un 7") == "of the image\nof the image\nof-the-image"
    programs = [*small_tree.PROGRAMS, "python3", small_tree.PYTHON.resolve().name]
    assert bash(sandbox, "ls /usr/bin").splitlines() == sorted(programs)
    assert bash(sandbox, "cat /etc/hostname") == "sandbox"


def test_code_runs_on_its_python(sandbox: Sandbox) -> None:
    version = small_tree.PYTHON.resolve().name.removeprefix("python")
    code = "import sys, json; print('%d.%d' % sys.version_info[:2], sys.base_prefix, json.__file__)"
    assert sandbox.run_code(code).stdout == f"{version} /usr /usr/lib/python{version}/json/__init__.py"


def test_what_is_written_goes_into_forks_and_not_into_the_tree(sandbox: Sandbox, tree: Path) -> None:
    bash(sandbox, "echo 1 > /usr/new; rm /usr/bin/id; echo changed > /etc/image")
    (child,) = sandbox.fork(1)
    with child:
        assert (
            bash(child, "cat /usr/new /etc/image; ls /usr/bin/id 2> /dev/null || echo gone")
            == "1\nchanged\ngone"
        )
        bash(child, "echo 2 > /usr/new")
    assert bash(sandbox, "cat /usr/new") == "1"
    assert not (tree / "usr/new").exists()
    assert (tree / "usr/bin/id").exists()
    assert (tree / "etc/image").read_text() == "of the image\n"


def test_one_with_a_disk_of_its_own_has_it_too(emulator: Emulator) -> None:
    with Sandbox(host=emulator.url, rootfs_gb=1) as sandbox:
        assert bash(sandbox, "cat /etc/image; echo 1 > /usr/new; cat /usr/new") == "of the image\n1"


def test_a_tree_without_a_python_is_refused(namespace_emulator: Emulator, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    with (
        pytest.raises(EmulatorError, match="there is no python3 and no bash in it"),
        Emulator(rootfs=tmp_path),
    ):
        pass


@SLOW
@pytest.mark.parametrize("packed", ["gz", "xz"])
def test_a_tar_file_is_unpacked_and_gone_afterwards(tree: Path, tmp_path: Path, packed: str) -> None:
    archive = tmp_path / f"tree.tar.{packed}"
    with tarfile.open(
        archive, f"w:{packed}", **({"compresslevel": 1} if packed == "gz" else {"preset": 0})
    ) as tar:
        tar.add(tree, ".")
    before = {*Path(tempfile.gettempdir()).glob("podflare-emulator-*")}
    with Emulator(rootfs=archive) as emulator, Sandbox(host=emulator.url) as sandbox:
        assert bash(sandbox, "cat /etc/image; ls /usr/bin/id") == "of the image\n/usr/bin/id"
        made = {*Path(tempfile.gettempdir()).glob("podflare-emulator-*/tree/etc/image")}
        assert any(path.parents[2] not in before for path in made)
    assert not [path for path in made if path.parents[2] not in before and path.exists()]


def test_what_is_no_tree_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is neither a directory nor a tar file"):
        Emulator(rootfs=tmp_path / "ubuntu.tar")
    with pytest.raises(SettingsError, match="rootfs: portable isolation uses the host's system"):
        Emulator(rootfs=tmp_path, isolation="portable")
    with pytest.raises(SettingsError, match="is the host's own system"):
        Emulator(rootfs="/")


@SLOW
def test_a_whole_system_behaves_as_a_machine() -> None:
    """For a system of another release or distribution, which cannot be had offline: PODFLARE_ROOTFS names it."""
    if not (rootfs := os.environ.get("PODFLARE_ROOTFS")):
        pytest.skip("PODFLARE_ROOTFS names no system, neither a directory nor a tar file")
    with serving("namespace", rootfs=rootfs) as emulator, Sandbox(host=emulator.url) as sandbox:
        result = sandbox.run_code("import ssl, sqlite3; x = [1]; print(__builtins__.__name__)")
        assert (result.stdout, result.stderr) == ("builtins", "")
        assert bash(sandbox, "python3 -c 'print(6 * 7)'; pwd; id -un") == "42\n/root\nroot"
        bash(
            sandbox,
            "echo text > /root/file; echo '#!/bin/sh' > /usr/local/bin/new; chmod +x /usr/local/bin/new",
        )
        (child,) = sandbox.fork(1)
        with child:
            assert child.run_code("x.append(2); print(x)").stdout == "[1, 2]"
            assert bash(child, "cat /root/file; new; rm /usr/local/bin/new; echo >> /etc/passwd") == "text"
            paths = ["/root", "/usr/local", "/etc"]
            assert sandbox.diff(child, paths=paths) == {
                "added": [],
                "removed": ["/usr/local/bin/new"],
                "modified": ["/etc/passwd"],
            }
        assert sandbox.download("/root/file") == b"text\n"
        if not sandbox.run_code("command -v useradd", language="bash").exit_code:
            assert bash(sandbox, "useradd -m dev && su - dev -c pwd") == "/home/dev"
        if not sandbox.run_code("import pip").exit_code:
            assert bash(sandbox, "pip --version").startswith("pip ")
        if not sandbox.run_code("command -v apt-get", language="bash").exit_code:
            bash(sandbox, debian_package.BUILD + "apt-get install --yes ./greeting.deb > /dev/null 2>&1")
            assert (
                bash(sandbox, "greeting; apt list --installed 2> /dev/null | grep -c greeting") == "hello\n1"
            )
