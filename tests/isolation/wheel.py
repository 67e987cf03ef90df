"""A wheel, made on the spot: what `pip install` takes without a network."""

from __future__ import annotations

import io
import zipfile

WHEEL = "Wheel-Version: 1.0\nGenerator: podflare-tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


def build(name: str, version: str) -> bytes:
    """A distribution with a module of its name, which has a `version`, and a program of its name, which prints that."""
    information = f"{name}-{version}.dist-info"
    files = {
        f"{name}/__init__.py": f"version = {version!r}\n\n\ndef main():\n    print(version)\n",
        f"{information}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{information}/WHEEL": WHEEL,
        f"{information}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    files[f"{information}/RECORD"] = "".join(f"{path},,\n" for path in (*files, f"{information}/RECORD"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return buffer.getvalue()


def file_name(name: str, version: str) -> str:
    return f"{name}-{version}-py3-none-any.whl"
