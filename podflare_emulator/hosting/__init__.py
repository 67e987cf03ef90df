"""The host's end of the processes inside: starts them, talks to them, reads their pipes.

Imported by `domain`, and by `handle.server`, which starts it. It knows no id and no rule of the service.
"""
