"""The test's end: `Emulator`, and what it arranges, reads and serves.

Imported by tests, the plugin and the command. It never touches a sandbox itself: it calls `control`.
"""
