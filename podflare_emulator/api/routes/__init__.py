"""The calls: their paths, and the part of `domain` that each calls.

Imported by `api.app`, which puts the guard and the log in front of them. They decide nothing that `domain` could.
"""
