"""The host's end of the processes inside: starts them, talks to them, reads their pipes.

Comes in: `domain`, and `handle.server`, which starts it. It never knows an id or a rule of the service.
"""
