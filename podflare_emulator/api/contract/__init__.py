"""The API as an OpenAPI document, generated from the bodies and calls in use.

Imported by `api.routes`, which answers `/openapi.json`, and by the command that prints it. It serves no call, and knows
no registry.
"""
