"""The processes inside that are no sandbox: warden, keeper, zygote, a family's init.

Comes in: `__main__`, by their names. They never run user code.
"""
