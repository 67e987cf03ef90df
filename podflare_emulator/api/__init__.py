"""The HTTP surface: who may ask, what was asked, and the answer's shape. Knows `domain`; nobody knows it."""
