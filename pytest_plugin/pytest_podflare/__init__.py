"""The pytest plugin: fixtures `podflare_emulator`, `podflare_sandbox`, ..., and `prepared_sandbox` to make more."""

from pytest_podflare.leaks import SandboxLeakWarning
from pytest_podflare.prepared import prepared_sandbox

__all__ = ["SandboxLeakWarning", "prepared_sandbox"]
