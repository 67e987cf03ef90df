"""Adapts classes and modules of Python's standard library for a portable sandbox.

Comes in: the room around it, which loads each module when the one that it adapts has been loaded. Never reads a
sandbox's files.
"""
