"""Templates: what sandboxes of one kind start with. The service's, and those of the user."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from podflare_emulator.vocabulary.errors import SettingsError
from podflare_emulator.vocabulary.kinds import variables
from podflare_emulator.vocabulary.mounts import sandbox_path

_FIELDS = ("imports", "files", "env", "setup", "python")
_EXAMPLE = "{'reports': {'imports': ['pandas as pd'], 'files': {'/data': Path('data')}}}"


class Template(NamedTuple):
    """One kind of sandbox.

    Attributes:
        imports: Modules to import ahead: from the name in the REPL (a dotted one for no name) to the module.
        files: Absolute path in the sandbox, permission bits, content.
        env: Variables of the environment.
        setup: Python code, or a script that begins with `#!` and names a shell; run once, and forked from then on.
        python: Absolute path of another interpreter; None for the default one.
        install: The command to suggest if a module is missing.
    """

    imports: Mapping[str, str] = {}
    files: tuple[tuple[str, int, bytes], ...] = ()
    env: Mapping[str, str] = {}
    setup: str = ""
    python: str | None = None
    install: str = ""

    @property
    def language(self) -> str:
        """The language of the setup."""
        first = self.setup.partition("\n")[0]
        return "bash" if first.startswith("#!") and first.rstrip().endswith("sh") else "python"


BUILT_IN: Mapping[str, Template] = {
    "default": Template(),
    # (contract: templates)
    "python-datasci": Template(
        {
            "pd": "pandas",
            "np": "numpy",
            "scipy": "scipy",
            "matplotlib": "matplotlib",
            "matplotlib.pyplot": "matplotlib.pyplot",
        },
        install="pip install 'podflare-emulator[datasci]'",
    ),
}


def read_file(path: str | os.PathLike[str]) -> dict[str, Template]:
    """The templates of a TOML file, a table each; paths in it are relative to its folder. Raises SettingsError."""
    import msgspec  # late, as few have such a file

    source = Path(path)
    try:
        tables = msgspec.toml.decode(source.read_bytes())
    except OSError as error:
        raise SettingsError(f"templates: {source}: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"templates: {source} is not TOML: {error}") from None
    except ImportError:
        raise SettingsError("templates: Python 3.10 needs tomli to read TOML: pip install tomli") from None
    for name, table in tables.items():
        if isinstance(table, dict):
            files = table.get("files")
            if isinstance(files, dict):
                table["files"] = {
                    target: source.parent / origin if isinstance(origin, str) else origin
                    for target, origin in files.items()
                }
            if isinstance(script := table.pop("setup_file", None), str):
                try:
                    table["setup"] = (source.parent / script).read_text(encoding="utf-8")
                except (OSError, UnicodeDecodeError) as error:
                    raise SettingsError(f"templates: {name}: setup_file: {error}") from None
            if isinstance(table.get("python"), str) and "/" in table["python"]:
                table["python"] = str(source.parent / table["python"])
    return checked(tables)


def checked(given: Any) -> dict[str, Template]:
    """Templates by name, from dicts of `Template`'s fields. Raises SettingsError."""
    if not isinstance(given, Mapping):
        raise SettingsError(f"templates: expected a dict such as {_EXAMPLE}, got {given!r}")
    return {_name(name): _template(name, one) for name, one in given.items()}


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise SettingsError(f"templates: expected a name such as 'reports', got {name!r}")
    if name == "default":
        raise SettingsError(
            "templates: default is the template of sandboxes that name none; give yours another name, or use "
            "mounts and env, which apply to every sandbox"
        )
    return name


def _template(name: str, given: Any) -> Template:
    if isinstance(given, Template):
        return given
    if not isinstance(given, Mapping):
        raise SettingsError(f"templates: {name}: expected a dict such as {_EXAMPLE}, got {given!r}")
    where = f"templates: {name}"
    for unknown in given.keys() - {*_FIELDS}:
        raise SettingsError(f"{where}: no field {unknown!r}; there are {', '.join(_FIELDS)}")
    setup = given.get("setup", "")
    if isinstance(setup, os.PathLike):
        setup = _read(f"{where}: setup", Path(setup)).decode("utf-8", "replace")
    if not isinstance(setup, str):
        raise SettingsError(f"{where}: setup: expected code, or the Path of a script, got {setup!r}")
    return Template(
        _imports(f"{where}: imports", given.get("imports", ())),
        tuple(_files(f"{where}: files", given.get("files", {}))),
        variables(f"{where}: env", given.get("env", {})),
        setup,
        _python(f"{where}: python", given.get("python")),
    )


def _imports(where: str, given: Any) -> dict[str, str]:
    """`["pandas as pd", "os.path"]`, with the meaning that they have after `import`; or a dict, name to module."""
    if isinstance(given, Mapping):
        given = [f"{module} as {name}" for name, module in given.items()]
    if isinstance(given, str) or not isinstance(given, (list, tuple)):
        raise SettingsError(f"{where}: expected a list such as ['pandas as pd', 'numpy'], got {given!r}")
    found: dict[str, str] = {}
    for one in given:
        module, renamed, name = one.partition(" as ") if isinstance(one, str) else ("", "", "")
        module, name = module.strip(), name.strip()
        names = module.split(".")
        if not all(part.isidentifier() for part in names) or (renamed and not name.isidentifier()):
            raise SettingsError(f"{where}: expected 'numpy' or 'pandas as pd', got {one!r}")
        if renamed:
            found[name] = module
        else:
            found |= {names[0]: names[0], module: module}
    return found


def _files(where: str, given: Any) -> list[tuple[str, int, bytes]]:
    if not isinstance(given, Mapping):
        raise SettingsError(
            f"{where}: expected a dict such as {{'/data/x.csv': Path('x.csv')}}, got {given!r}"
        )
    found: list[tuple[str, int, bytes]] = []
    for target, source in given.items():
        try:
            path = sandbox_path(os.fspath(target))
        except (SettingsError, TypeError) as error:
            raise SettingsError(f"{where}: {target!r}: {error}") from None
        if isinstance(source, os.PathLike):
            found += _on_host(f"{where}: {target}", path, Path(source))
        elif isinstance(source, (str, bytes)):
            found.append((path, 0o644, source.encode() if isinstance(source, str) else source))
        else:
            raise SettingsError(f"{where}: {target}: expected a string, bytes or a Path, got {source!r}")
    return found


def _on_host(where: str, target: str, source: Path) -> list[tuple[str, int, bytes]]:
    if source.is_dir():
        inner = [path for path in sorted(source.rglob("*")) if path.is_file()]
        places = [(f"{target}/{path.relative_to(source).as_posix()}", path) for path in inner]
    else:
        places = [(target, source)]
    return [
        (place, path.stat().st_mode & 0o777, _read(where, path))
        for place, path in places
        if _there(where, path)
    ]


def _there(where: str, path: Path) -> bool:
    if not path.exists():
        raise SettingsError(f"{where}: no such file or folder here: {path}")
    return True


def _read(where: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{where}: {path}: {error.strerror}") from None


def _python(where: str, given: Any) -> str | None:
    if given is None:
        return None
    import shutil

    found = shutil.which(os.fspath(given)) if isinstance(given, (str, os.PathLike)) else None
    if found is None:
        raise SettingsError(f"{where}: no executable file {given!r}, such as {sys.executable}")
    return os.path.abspath(found)
