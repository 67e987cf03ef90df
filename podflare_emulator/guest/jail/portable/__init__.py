"""The portable backend: `inside` runs in a guest; everything else maps paths, in child Pythons too.

Comes in: `processes`; and every Python of a sandbox. Except for `inside` it never imports another room.
"""
