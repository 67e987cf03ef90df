"""Sandboxes and their rules: ids, execs in order, forks, merges, ends.

Comes in: `control` and `api`. It never knows HTTP, nor the processes that `hosting` talks to.
"""
