"""Compares what a test sees on the emulator and on the real API.

Imported by the hooks of `plugin`. It changes nothing that a test does.
"""
