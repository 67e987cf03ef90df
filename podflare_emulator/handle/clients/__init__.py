"""The Podflare clients of the test's own process: where they connect, and what they have made.

Comes in: `Emulator` and the plugin. It never knows a server.
"""
