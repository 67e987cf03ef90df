"""Sandboxes as tools of a model, by the Model Context Protocol: what there is to call, and the SDK's server around it.

Comes in: `api` and `command`. It never knows HTTP, and imports the SDK late: it is an extra.
"""
