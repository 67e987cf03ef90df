"""Facts about this machine: interpreters and bytecode, a system in a tar file, why backends fail, if it is disposable.

Imported by `hosting`, `command` and `handle`. It starts nothing that outlives the emulator.
"""
