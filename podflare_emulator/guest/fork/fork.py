"""Live fork: the guest forks itself, and each child moves into its own jail."""

from __future__ import annotations

import posix
import signal
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ..files import tree
from ..jail.interface import Written
from ..protocol import Message, encode
from ..system.descriptors import close_all
from ..system.siblings import fork_siblings, threads_left_behind
from . import left_behind, openmp, randomness, ways
from .following import complain, write_over
from .interface import Guest
from .open_resources import OpenResources

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC


def fork(guest: Guest, tickets: list[Message], descriptors: list[int], files: str) -> None:
    """Forks one child for each ticket. It also returns in each child, which is then a separate guest.

    The parent answers when all are forked, and pauses until every child has its own copy of the tree. `descriptors`
    holds, for each child, its control socket, its two pipes and, if the backend has them, the entrance of its jail.
    If a child cannot become a guest, it reports the reason on its control socket. If it cannot be forked, the answer
    holds the reason.

    `files`: see ways.py.
    """
    guest.flush()
    opened = [*descriptors]
    finished = -1
    left: Sequence[int] = ()
    answer: Message
    try:
        # The kernel delivers only as many descriptors as the limit allows.
        if not descriptors or len(descriptors) % len(tickets):
            raise OSError(f"the sandbox has too many open files to receive those of {len(tickets)} children")
        unpaused = openmp.pause()
        threads, processes = threads_left_behind(), left_behind.processes_of(guest)
        branch = _branch(guest, files, len(tickets), opened, alone=not threads and not processes)
        opened += branch.left
        copied = _have_copied(guest) if branch.way == "copy" else None
        source = posix.open(guest.jail.root, _DIRECTORY)
        opened.append(source)
        written = guest.jail.written_over()
        kept = {source, *(number for over in written for number in (over.tree, over.changes))}
        opened += kept - {source}
        finished, finish = posix.pipe()
        opened.append(finish)
        moment = _Moment(guest, [*opened, finished])
        answer = {"forked": len(tickets), "threads": threads, "processes": processes, "timers": moment.timers}
        left = branch.left
        width = len(descriptors) // len(tickets)
        number = fork_siblings(len(tickets))
    except _Stayed as error:
        answer = {"stayed": str(error)}
    except Exception as error:  # not only OSError: the user may have replaced what this relies on
        answer = {"forked": 0, "failed": str(error) or type(error).__name__}
        left = ()
    else:
        if number is not None:
            mine = descriptors[number * width : (number + 1) * width]
            layers = branch.layers[2 * number : 2 * number + 2]
            close_all({*opened, finished} - {*mine, *layers, *kept, finish})
            openmp.restrict(unpaused)
            branch = branch._replace(layers=layers)
            _become(guest, tickets[number], mine, source, written, moment, branch, copied)
            posix.close(finish)
            return
    guest.connection.send(answer, left)
    close_all(opened)
    if finished >= 0:
        posix.read(finished, 1)  # returns when the last child has closed its copy, or has died
        posix.close(finished)


class _Branch(NamedTuple):
    """Where the children's trees come from. `layers`: two descriptors for each child, as `Jail.stand_on` takes them.

    `left`: a descriptor of the parent's old tree, if it has moved to another. The host has it closed by a process that
    has time.
    """

    way: ways.Way
    layers: Sequence[int] = ()
    depth: int = 0
    left: Sequence[int] = ()


class _Stayed(OSError):
    """This guest did not move to its new tree."""


def _branch(guest: Guest, files: str, children: int, opened: list[int], *, alone: bool) -> _Branch:
    """Has the host make trees that share layers, if possible, and moves this guest to its tree. Adds to `opened`."""
    way = ways.choose(guest.jail, files, alone=alone)
    resources: OpenResources | None = None
    if way == "freeze":
        resources = OpenResources(guest.jail.root, ignore={*guest.hidden, *opened})
        if not resources.can_move:
            way, resources = ways.without_freezing(guest.jail), None
    if way == "copy" or guest.jail.stack is None:
        return _Branch("copy")
    guest.connection.send({"branch": way})
    arrived = guest.connection.receive()
    if arrived is None:
        posix._exit(0)
    message, layers = arrived
    if not layers:  # the host could not make them
        return _Branch("copy")
    opened += layers
    if len(layers) != 2 * (children + bool(resources)):
        problem = f"the sandbox has too many open files to receive the trees of {children} children"
        raise _Stayed(problem) if resources else OSError(problem)
    left = []
    if resources:
        mine, layers = layers[:2], layers[2:]
        for number in mine:
            opened.remove(number)
        try:
            left.append(guest.jail.stack.stand_on(mine, message["depth"], resources.prepare))
        except OSError as error:
            resources.give_up()
            raise _Stayed(str(error)) from error
        resources.go_on()
    return _Branch(way, layers, message["depth"], left)


class _Moment:
    """The parent's state at the moment of the fork that os.fork alone would not give to the child."""

    def __init__(self, guest: Guest, ours: Iterable[int]) -> None:
        self.resources = OpenResources(guest.jail.root, ignore={*guest.hidden, *ours})
        self._outputs = list(_leading_to((guest.out, guest.err), self.resources.pipes))
        self._timers = [signal.getitimer(timer) for timer in _TIMERS]
        self._random = randomness.state()

    @property
    def timers(self) -> bool:
        """Whether a timer is running, and will interrupt the guest while it is idle."""
        return any(setting[0] for setting in self._timers)

    def take_outputs(self, *pipes: int) -> None:
        """Redirects every descriptor of the parent's pipes (standard output, say, or a duplicate of it) to these."""
        for number, index, inheritable in self._outputs:
            posix.dup2(pipes[index], number, inheritable)

    def restore(self) -> None:
        for timer, setting in zip(_TIMERS, self._timers, strict=True):
            if setting[0]:
                signal.setitimer(timer, *setting)
        randomness.restore(self._random)


def _become(
    guest: Guest,
    ticket: Message,
    descriptors: list[int],
    source: int,
    written: Sequence[Written],
    moment: _Moment,
    branch: _Branch,
    copied: list[str] | None,
) -> None:
    """In a child: makes it a guest with its own pipes, tree and handles.

    `source` and `written` are the parent's tree, and the system directories in which the parent has written. `copied`:
    the problems of a copy that its tree has already been made.
    """
    control, out, err, *entrance = descriptors
    try:
        posix.dup2(control, guest.connection.fileno(), inheritable=False)
        posix.dup2(out, guest.out, inheritable=False)
        posix.dup2(err, guest.err, inheritable=False)
        posix.setsid()
        moment.take_outputs(out, err)
        guest.repl.forget_interrupts()
        guest.pid = posix.getpid()
        guest.has_started = False
        changes = guest.jail.changes
        stood = guest.jail.stack and guest.jail.stack.depth
        guest.jail.move(ticket["tree"], entrance)
        if guest.jail.stack and branch.layers:
            posix.close(guest.jail.stack.stand_on(branch.layers, branch.depth))
        target = posix.open(guest.jail.root, _DIRECTORY)
        if copied is not None or branch.way == "freeze":
            problems = copied or []
        else:
            problems = tree.synchronize(
                source,
                target,
                skip=guest.jail.mounts,
                untouched_since=guest.baseline,
                changes=changes if branch.layers or not stood else None,
                resolve=lambda path, _: guest.jail.resolve(path),
            )
        for over in written:
            problems += write_over(over, guest.baseline)
        guest.baseline = ticket["baseline"]
        guest.commands.forget(guest.jail.root)
        problems += moment.resources.renew(
            guest.jail.root, resolve=guest.jail.resolve, forked=True, own=bool(branch.layers)
        )
        moment.restore()
        close_all([control, out, err, target, source, *([] if changes is None else [changes])])
        complain(guest, problems)
        guest.announce()
    except Exception as error:
        posix.write(control, encode({"failed": f"{type(error).__name__}: {error}"}))
        posix._exit(1)


def _have_copied(guest: Guest) -> list[str] | None:
    """If there are many files, has the host have the keeper copy them into the children's jails: it is faster.

    Returns the copies' problems, None if the children are to copy the files themselves.
    """
    if not guest.jail.has_copier or not ways.has_many(guest.jail, guest.baseline):
        return None
    guest.connection.send({"copy": {"skip": [*guest.jail.mounts], "since": guest.baseline}})
    arrived = guest.connection.receive()
    if arrived is None:
        posix._exit(0)
    answer, _ = arrived
    if "failed" in answer:
        raise OSError(answer["failed"])
    problems: list[str] = answer["problems"]
    return problems


def _leading_to(pipes: Sequence[int], numbers: Iterable[int]) -> Iterator[tuple[int, int, bool]]:
    """The descriptors that lead to one of `pipes`, the index of that pipe, and whether programs inherit them."""
    identities = [_identity(pipe) for pipe in pipes]
    for number in numbers:
        try:
            identity, inheritable = _identity(number), posix.get_inheritable(number)
        except OSError:  # a thread has closed it meanwhile
            continue
        if identity in identities:
            yield number, identities.index(identity), inheritable


def _identity(number: int) -> tuple[int, int]:
    status = posix.fstat(number)
    return status.st_dev, status.st_ino
