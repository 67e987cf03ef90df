"""What there is on this machine: interpreters, their bytecode, and whether it is one to be thrown away.

Comes in: `hosting`, `command`. It starts nothing that lives on.
"""
