"""How long sandboxes live, what becomes of them then, and the webhooks that report it.

Imported by `domain.registry`. It runs no code, and takes the time from the emulator's clock, never from the machine.
"""
