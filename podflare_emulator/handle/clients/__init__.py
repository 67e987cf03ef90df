"""The Podflare clients in the test's own process: where they connect, and what they have made.

Imported by `Emulator` and the plugin. It knows no server.
"""
