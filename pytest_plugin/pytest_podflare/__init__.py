"""The pytest plugin: fixtures `podflare_emulator`, `podflare_sandbox`, ..., and `prepared_sandbox` to make more."""

from pytest_podflare.prepared import prepared_sandbox

__all__ = ["prepared_sandbox"]
