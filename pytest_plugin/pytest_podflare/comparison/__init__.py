"""A test on the emulator and on the real API, and whether it saw the same.

Comes in: the hooks of `plugin`. It never changes what a test does.
"""
