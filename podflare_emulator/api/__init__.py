"""The HTTP surface: who may ask, what was asked, and the answer's shape.

Comes in: `handle.server`. It never keeps a sandbox, and decides nothing that `domain` could.
"""
