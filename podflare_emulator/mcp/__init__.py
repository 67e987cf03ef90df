"""Sandboxes as tools for a model, over the Model Context Protocol: the tools, and the SDK's server around them.

Imported by `api` and `command`. It knows no HTTP, and imports the SDK only when needed, since that is an extra.
"""
