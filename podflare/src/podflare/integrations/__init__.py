"""Adapters for agent frameworks, one module each. None imports its framework before it is used."""
