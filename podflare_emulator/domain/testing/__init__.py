"""What a test arranges for a call: stubs, faults, deaths, published timings.

Comes in: `domain`, `control`, `api`. It never looks into a sandbox.
"""
