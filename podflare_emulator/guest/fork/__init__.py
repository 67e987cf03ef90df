"""A live fork: gives a child what `os.fork` alone does not.

Comes in: `interpreter`. It talks to the host only about the fork.
"""
