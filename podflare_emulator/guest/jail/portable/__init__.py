"""The portable backend: `inside` in a guest; all else maps paths, in child Pythons too.

Comes in: `processes`; and every Python of a sandbox. But for `inside` it never imports another room.
"""
