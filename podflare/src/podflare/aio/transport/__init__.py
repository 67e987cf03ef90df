"""Under the calls: connections, and what travels over them: the events of an exec, a terminal's output, files."""
