"""Starts and stops the server, in a thread or in its own process.

Imported by `Emulator`. It puts `api`, `control`, `domain` and `hosting` together, and decides nothing about their work.
"""
