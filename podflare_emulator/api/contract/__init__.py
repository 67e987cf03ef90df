"""What the API is, for machines to read: an OpenAPI document, made of the bodies and calls that serve.

In: whoever answers `/openapi.json` or prints it. It never serves a call, and knows no registry.
"""
