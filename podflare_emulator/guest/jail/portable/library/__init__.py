"""Classes and modules of Python's that a portable sandbox sees in its own way.

Comes in: the room around it, which loads each module when the one that it is about has been loaded. Never reads a
sandbox's files.
"""
