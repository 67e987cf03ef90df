"""Middleware in front of every route: which requests are let in, and by which paths.

Imported by `api.app`, which wraps the routes in them. They answer nothing but refusals.
"""
