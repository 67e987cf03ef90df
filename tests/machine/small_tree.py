"""A small system, made of the host's files: a Python, a bash and a few programs, with the libraries that they need."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

PROGRAMS = ("bash", "cat", "id", "ls", "mkdir", "rm", "touch")
PYTHON = Path("/usr/bin/python3")


def missing() -> str:
    """What the host lacks for it, "" if nothing."""
    absent = [name for name in (*PROGRAMS, "ldd") if not Path("/usr/bin", name).exists()]
    python = PYTHON.resolve()
    if absent or not python.exists() or not (Path("/usr/lib") / python.name).is_dir():
        return f"{', '.join(absent) or 'a Python in /usr'} is not there"
    return ""


def build(tree: Path) -> None:
    for directory in ("usr/bin", "etc", "root", "proc"):
        (tree / directory).mkdir(parents=True)
    for name in ("bin", "lib", "lib64", "sbin"):
        if Path("/", name).is_symlink():
            (tree / "usr" / name).mkdir(exist_ok=True)
            (tree / name).symlink_to(f"usr/{name}")
    python = PYTHON.resolve()
    for name in (*PROGRAMS, python.name):
        shutil.copy(Path("/usr/bin", name).resolve(), tree / "usr/bin" / name)
    (tree / "usr/bin/python3").symlink_to(python.name)
    library = Path("/usr/lib", python.name)
    unwanted = shutil.ignore_patterns("test", "__pycache__", "idlelib", "tkinter", "lib2to3", "pydoc_data")
    shutil.copytree(library, tree / "usr/lib" / python.name, ignore=unwanted)
    extensions = sorted((library / "lib-dynload").glob("*.so"))
    for file in (*(Path("/usr/bin", name) for name in PROGRAMS), python, *extensions):
        for needed in _libraries(file):
            place = tree / str(needed).lstrip("/")
            if not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(needed, place)
    (tree / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/bash\nof-the-image:x:7:7::/:/bin/sh\n")
    (tree / "etc/group").write_text("root:x:0:\n")
    (tree / "etc/image").write_text("of the image\n")
    (tree / "root/file").write_text("of the image\n")


def _libraries(file: Path) -> list[Path]:
    told = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
    words = (word for line in told.splitlines() for word in line.split())
    return [Path(word) for word in words if word.startswith("/") and ".so" in word and not word.endswith(":")]
