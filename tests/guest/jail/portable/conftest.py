"""A portable sandbox without an emulator: a directory, and interpreters that are mapped to it."""

from __future__ import annotations

import os
import site
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from podflare_emulator.guest.jail.portable import mapping
from podflare_emulator.guest.system import inheritance, landlock

GUEST = str(Path(mapping.__file__).parents[2])
PACKAGES = (*site.getsitepackages(), str(Path(pytest.__file__).parents[1]))
SHARED = (
    *mapping.SYSTEM_DIRECTORIES,
    os.path.realpath(sys.base_prefix),
    sys.base_prefix,
    sys.prefix,
    GUEST,
    *PACKAGES,
)

# What a guest does before it runs the user's code.
ENTER = """
import os, sys, types
guest, root, *shared = sys.argv[1:]
package = types.ModuleType("podflare_guest")
package.__path__ = [guest]
sys.modules["podflare_guest"] = package
from podflare_guest.jail.portable import mapping
os.chdir(root + "/root")
mapping.activate(mapping.PathMap(root, shared))
sys.argv[1:] = []
exec(compile(sys.stdin.read(), "<exec>", "exec"), {"__name__": "__main__", "mapping": mapping})
"""


class Sandbox:
    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.paths = mapping.PathMap(self.root, SHARED)
        self.path = f"{self.root}/.venv/bin:/usr/local/bin:/usr/bin:/bin"
        for directory in ("root", "tmp", "data", "home", "workspace", "run/shm"):
            (root / directory).mkdir(parents=True)
        packages = root / f".venv/lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages"
        packages.mkdir(parents=True)
        (root / ".venv/bin").mkdir()
        base = os.path.realpath(sys.executable)
        (root / ".venv/pyvenv.cfg").write_text(f"home = {os.path.dirname(base)}\n")
        (root / ".venv/bin/python3").symlink_to(base)
        (packages / "host.pth").write_text("".join(f"{path}\n" for path in PACKAGES))
        mapping.write_boot(str(packages), GUEST)

    def python(self, code: str, preload: str = "sys") -> str:
        """What `code` prints in a guest, standard error included, as the host shows it.

        `preload`: modules that are imported before the guest is mapped.
        """
        return self._shown(
            [
                sys.executable,
                "-I",
                "-c",
                f"import sys; sys.path += {PACKAGES!r}\nimport {preload}\n{ENTER}",
                GUEST,
                self.root,
                *SHARED,
            ],
            {"HOME": "/root", "PATH": "/.venv/bin:/usr/local/bin:/usr/bin:/bin"},
            code,
        )

    def bash(self, code: str) -> str:
        return self._shown(
            ["bash", "-c", mapping.shell_command(code, self.paths)],
            {
                "PATH": self.path,
                **mapping.bash_environment(self.paths),
                **mapping.child_environment(self.paths, GUEST),
            },
            "",
        )

    def _shown(self, words: Sequence[str], environment: dict[str, str], text: str) -> str:
        done = subprocess.run(
            words,
            input=text,
            env=environment,
            cwd=f"{self.root}/root",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
            preexec_fn=self._confine,
        )
        return done.stdout.replace(f"{self.root}/", "/").replace(self.root, "/")

    def _confine(self) -> None:
        """As a guest, it has nothing of the tests' starter, such as an ignored SIGINT.

        What escapes the mapping is refused, so that a failing test harms nothing.
        """
        inheritance.forget()
        landlock.restrict_writes([os.path.dirname(self.root), "/dev/null"])

    def file(self, path: str) -> Path:
        """The host's path of the sandbox's."""
        return Path(self.root + path)


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path.resolve() / "sandbox")


@pytest.fixture
def sandbox_in_a_named_place(tmp_path: Path) -> Sandbox:
    """Its directory's name must be quoted in a script."""
    return Sandbox(tmp_path.resolve() / "it's a $andbox")
