"""What the tests of a session run against: the emulator, a real API, or both.

Comes in: the fixtures of `plugin`, by `Targets`. It never declares an option or a fixture.
"""
