"""The HTTP interface: checks who may call, reads requests and shapes answers.

Imported by `handle.server`. It keeps no sandbox, and decides nothing that `domain` could.
"""
