"""What is asked of a socket, of any kind that has a file descriptor."""

from __future__ import annotations

import select
from typing import Any


def is_readable(socket: Any) -> bool:
    """Whether something has arrived, or the other end has closed it; of one that is closed, too."""
    descriptor: int = socket.fileno()
    if descriptor < 0:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([descriptor], [], [], 0)[0])
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(0))
