"""Makes every Python that a sandbox starts activate the mapping, through two files in its site-packages."""

from __future__ import annotations

from .calls import original


def write_boot(site_packages: str, guest_path: str) -> None:
    """Makes every Python that starts with this site-packages activate the mapping, if its environment names one."""
    room = f"{guest_path}/jail/portable"
    original.stat(f"{room}/mapping.py")  # fails here, at once, instead of in a child
    with original.open(f"{site_packages}/podflare_jail_boot.py", "w", encoding="utf-8") as file:
        file.write(_BOOT.format(room=room))
    with original.open(f"{site_packages}/podflare_jail.pth", "w", encoding="utf-8") as file:
        file.write("import podflare_jail_boot\n")


_BOOT = """\
import os

if "PODFLARE_PORTABLE_ROOT" in os.environ:
    import sys

    package = type(sys)("_podflare_jail")
    package.__path__ = [{room!r}]
    sys.modules[package.__name__] = package
    from _podflare_jail.mapping import activate_from_environment

    activate_from_environment()
"""
