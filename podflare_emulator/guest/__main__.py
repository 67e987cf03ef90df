"""`python <this directory> ROLE DESCRIPTOR STATE`: starts one of the emulator's own processes.

The directory may be bound anywhere, so it is made a package by hand, under a name that user code does not look for.
"""

import gc
import os
import sys
import types
from importlib import import_module

if __name__ == "__main__":
    # Holds for the REPL too: if user code imports a module, changes it and imports it again within a second, a .pyc
    # would bring back the old one.
    sys.dont_write_bytecode = True
    package = types.ModuleType("podflare_guest")
    package.__path__ = [__file__.rpartition("/")[0]]
    sys.modules[package.__name__] = package
    if sys.path and sys.path[0] == package.__path__[0]:
        del sys.path[0]
    role, descriptor = sys.argv[1:3]  # the rest only shows in `ps` whose process this is
    gc.disable()  # there is no garbage yet
    module = import_module(f"{package.__name__}.processes.{role}")
    gc.enable()
    module.main(int(descriptor))
    os._exit(0)  # without taking the interpreter apart: the emulator's end waits for this
