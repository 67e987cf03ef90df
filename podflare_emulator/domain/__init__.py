"""Sandboxes and their rules: ids, execs in order, forks, merges, ends. Knows `hosting`, not `api`."""
