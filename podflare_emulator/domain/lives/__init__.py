"""How long sandboxes live, what becomes of them then, and who is told.

Comes in: `domain.registry`. It runs no code, and asks the clock, never the machine, for the time.
"""
