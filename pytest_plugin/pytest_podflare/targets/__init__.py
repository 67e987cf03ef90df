"""The targets that the tests of a session run against: the emulator, a real API, or both.

The fixtures of `plugin` use it, through `Targets`. It declares no options and no fixtures.
"""
