"""The operating system for the rooms above: kernel calls, Landlock, sibling processes, the process table, descriptors,
and where modules are found.

Comes in: all of `guest`. It never knows what a sandbox is.
"""
