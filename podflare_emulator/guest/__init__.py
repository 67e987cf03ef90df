"""What runs inside: the processes that keep, make and are the sandboxes. Standard library only."""
