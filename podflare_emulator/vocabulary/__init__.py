"""Concepts that every layer shares: settings, errors, answers, lineage, log lines, the time.

Any room outside `guest` may import it. It imports no other room.
"""
