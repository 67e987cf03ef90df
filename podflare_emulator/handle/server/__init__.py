"""The server's life, in a thread or in a process of its own.

Comes in: `Emulator`. It puts `api`, `control`, `domain` and `hosting` together, and never decides what they do.
"""
