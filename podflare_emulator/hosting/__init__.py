"""The host's end of the processes inside: starts them, talks to them, reads their pipes. Knows no ids and no rules."""
