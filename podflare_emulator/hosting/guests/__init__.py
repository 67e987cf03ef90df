"""The host's handles on guests, the interpreters of sandboxes: their code, their output, their terminals, their end."""
