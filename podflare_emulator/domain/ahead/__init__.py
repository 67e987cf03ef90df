"""What is made before anybody asks for it, so that whoever does has nothing to wait for: guests, and children of one.

Comes in: the registry. It never knows ids, nor what a test arranges.
"""
