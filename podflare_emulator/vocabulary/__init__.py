"""Words that every floor reads: settings, errors, answers, lineage, log lines, the time.

Comes in: everybody. It never imports another room.
"""
