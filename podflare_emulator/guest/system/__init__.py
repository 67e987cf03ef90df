"""The operating system for the rooms above: kernel calls, Landlock, sibling processes, the process table, descriptors.

Comes in: all of `guest`. It never knows what a sandbox is.
"""
