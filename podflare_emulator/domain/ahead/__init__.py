"""Guests, and children for forks, made ahead of demand, so that a request need not wait for them.

Imported by the registry. It knows neither ids nor what a test arranges.
"""
