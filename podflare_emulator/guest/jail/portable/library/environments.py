"""Virtual environments that are made inside: their Pythons activate the mapping, and their programs can be started.

The kernel looks for a script's interpreter among the host's files, and bash takes a path from `activate`. Both find the
sandbox through the variable that all its programs have.
"""

from __future__ import annotations

import os
import re
import sys

from .. import boot, calls
from ..paths import ROOT_VARIABLE

TYPE_CHECKING = False  # as in `typing`
if TYPE_CHECKING:
    from typing import Any

_GUEST = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(calls.__file__))))
_PLACE = re.compile(r"^(\s*(?:export |setenv |set -gx )?VIRTUAL_ENV[= ])(?=[\"']?/)", re.M)


def dress_venv(module: Any) -> dict[str, Any]:
    builder = module.EnvBuilder
    setup_python, replace_variables = builder.setup_python, builder.replace_variables

    def setup_and_map(self: Any, context: Any) -> None:
        setup_python(self, context)
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        packages = calls.current().real(f"{context.env_dir}/lib/python{version}/site-packages")
        if calls.current().prefix:
            boot.write_boot(packages, _GUEST)

    def replace_and_map(self: Any, text: str, context: Any) -> Any:
        text = replace_variables(self, text, context)
        if calls.current().real(context.env_dir) == context.env_dir:
            return text
        return _PLACE.sub(rf'\1"${ROOT_VARIABLE}"', text)

    builder.setup_python, builder.replace_variables = setup_and_map, replace_and_map
    return {}


def dress_scripts(module: Any) -> dict[str, Any]:
    """Adapts distlib, with which pip writes programs."""
    maker = module.ScriptMaker
    build = maker._build_shebang

    def build_shebang(self: Any, executable: bytes, post_interp: bytes) -> bytes:
        if calls.current().real(executable) == executable:
            line: bytes = build(self, executable, post_interp)
            return line
        root = b'"$%s"' % ROOT_VARIABLE.encode()
        return b"#!/bin/sh\n'''exec' %s%s%s" % (root, executable, post_interp) + b" \"$0\" \"$@\"\n' '''\n"

    maker._build_shebang = build_shebang
    return {}
