"""Sandboxes and their rules: ids, execs in order, forks, merges, ends.

Imported by `control`, `mcp`, `api` and `handle`. It knows neither HTTP nor the processes that `hosting` talks to.
"""
