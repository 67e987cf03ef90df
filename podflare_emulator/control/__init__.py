"""What the author of a test may do and no client can: one method a call of the control API.

Comes in: `api` and `handle`. It never knows HTTP.
"""
