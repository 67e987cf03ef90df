"""The namespace backend: `start` from outside, `keep` in the keeper, `inside` in a guest.

Comes in: `processes`. It never needs privilege on the host.
"""
