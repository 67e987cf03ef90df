"""What a test arranges for a call: stubs, faults, deaths, published timings.

Imported by `domain`, `control` and `api`. It never looks into a sandbox.
"""
