"""The test author's end: `Emulator` and what it arranges, reads and serves.

Comes in: tests, the plugin, the command. It never touches a sandbox itself: it calls `control`.
"""
