"""Code that is stopped in the middle, and what the next call finds."""

SLEEPS = "import time; started = True; time.sleep(8); finished = True"
"""A call that waited for its end would find `finished`."""

LIMIT = 2
"""Seconds after which it is stopped: on a busy machine too it has begun by then."""

AFTERWARDS = "print(kept, started, 'finished' in globals())"
"""Where `kept = 41` was run before, this prints `STOPPED` if the code was stopped and the state is there."""

STOPPED = "41 True False"
