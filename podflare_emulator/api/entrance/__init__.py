"""Who comes in, and by which way: what stands in front of every route.

In: `api.app`, which puts them around the routes. They answer nothing but refusals.
"""
