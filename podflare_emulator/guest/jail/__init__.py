"""The isolation backends, inside: `interface` defines what each offers to a guest.

Comes in: `processes`, `interpreter`, `fork`. They never know what runs in them.
"""
