"""The API as an OpenAPI document, generated from the bodies and calls in use.

Imported by `api.app` and by `api.routes`, which answers `/openapi.json`. It serves no call, and knows no registry.
"""
