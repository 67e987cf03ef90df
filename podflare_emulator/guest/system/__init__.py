"""The operating system as the rooms above need it: kernel calls, Landlock, siblings, the process table, descriptors.

Comes in: all of `guest`. It never knows what a sandbox is.
"""
