"""What a test may do and no client can: each call of the control API is one method.

Imported by `api` and `handle`. It knows no HTTP.
"""
