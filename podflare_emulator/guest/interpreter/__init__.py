"""The guest process: one sandbox's REPL and bash, and its answers to the host.

Comes in: `processes`. It never starts another guest, except by forking.
"""
