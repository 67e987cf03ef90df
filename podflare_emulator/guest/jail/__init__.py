"""The isolation backends, inside: `interface` says what each is to a guest.

Comes in: `processes`, `interpreter`, `fork`. They never know what runs in them.
"""
