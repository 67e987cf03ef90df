"""Facts about this machine: interpreters, their bytecode, the system in a tar file, and whether it is disposable.

Imported by `hosting` and `command`. It starts nothing that outlives the emulator.
"""
