"""The calls: which paths there are, and what of the domain each calls.

Comes in: `api.app`, which puts the guard and the log in front of them. They never decide what `domain` could.
"""
