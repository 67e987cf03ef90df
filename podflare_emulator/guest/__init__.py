"""The code that runs inside: the processes that make and keep sandboxes, and the sandboxes themselves.

Comes in: `hosting` reads `protocol` and `order`, which both ends use, and starts `__main__`; `command` asks
`processes.probe`. It imports only the standard library and itself, and runs on any Python from 3.10.
"""
