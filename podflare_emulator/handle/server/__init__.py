"""The server's life, in a thread or in its own process.

Comes in: `Emulator`. It puts `api`, `control`, `domain` and `hosting` together, and never decides what they do.
"""
