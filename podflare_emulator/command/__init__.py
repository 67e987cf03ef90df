"""The command `podflare-emulator`.

Run from the shell. It only reads arguments and prints: it serves through `handle`, and asks `hosting` and `guest`
what the machine can do.
"""
