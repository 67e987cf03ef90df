"""The command `podflare-emulator`.

It only reads arguments and prints. It serves through `handle`; `doctor` asks `hosting` and `guest` what the machine
can do.
"""
