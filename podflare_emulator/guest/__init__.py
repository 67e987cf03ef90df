"""What runs inside: the processes that keep, make and are the sandboxes.

Comes in: `hosting` reads `protocol` and `order`, which both ends speak, and starts `__main__`; `command` asks
`processes.probe`. It imports nothing but the standard library and itself, and runs on any Python from 3.10.
"""
