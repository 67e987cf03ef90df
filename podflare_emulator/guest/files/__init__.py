"""Directory trees by descriptor: made, copied, compared, removed.

Comes in: `jail`, `fork`, `interpreter`, `processes`. It never follows a path that user code could have changed.
"""
