"""`python <this directory> ROLE DESCRIPTOR STATE`: starts one of the emulator's own processes.

The directory may be bound anywhere, so it is made a package by hand, under a name that user code does not look for.
"""

import sys
import types
from importlib import import_module

if __name__ == "__main__":
    # Nor does the REPL write any: what it imports, changes and imports again within a second would be the old.
    sys.dont_write_bytecode = True
    package = types.ModuleType("podflare_guest")
    package.__path__ = [__file__.rpartition("/")[0]]
    sys.modules[package.__name__] = package
    if sys.path and sys.path[0] == package.__path__[0]:
        del sys.path[0]
    role, descriptor = sys.argv[1:3]  # what follows only tells a reader of `ps` whose process it is
    import_module(f"{package.__name__}.processes.{role}").main(int(descriptor))
