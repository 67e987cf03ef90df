"""Words that every floor reads: settings, errors, answers, lineage, log lines.

Comes in: everybody. It never imports another room.
"""
