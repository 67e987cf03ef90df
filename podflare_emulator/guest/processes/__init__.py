"""The processes inside that are not sandboxes: warden, keeper, zygote, a family's init.

Comes in: `__main__`, by their names. They never run user code.
"""
