"""A live fork: what a child must have that `os.fork` alone does not give it.

Comes in: `interpreter`. It never talks to the host but about the fork.
"""
