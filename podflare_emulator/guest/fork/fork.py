"""Live fork: the guest forks itself, and each child moves into a jail of its own."""

from __future__ import annotations

import posix
import resource
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from ..files import archive as archiving
from ..files import tree
from ..jail.interface import Jail, Written
from ..protocol import Connection, Message, encode
from ..system.process_table import processes, runs_since
from ..system.siblings import fork_siblings, threads_left_behind
from . import openmp, ways
from .open_resources import OpenResources

_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
_MOST_COPIED = 100  # files: from here on having them copied is quicker
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC


class Repl(Protocol):
    def forget_interrupts(self) -> None:
        """Those that have arrived were meant for the parent."""


class Commands(Protocol):
    def forget(self, root: str) -> None:
        """What is in the tree need not be what was put there."""


class Guest(Protocol):
    """What a fork takes of the guest that forks."""

    jail: Jail
    connection: Connection
    out: int
    err: int
    baseline: int
    pid: int
    has_started: bool

    @property
    def repl(self) -> Repl: ...

    @property
    def commands(self) -> Commands: ...

    @property
    def hidden(self) -> tuple[int, ...]:
        """Descriptors that are not the user's."""

    def flush(self) -> None:
        """Empties the buffers of its output."""

    def announce(self) -> None:
        """Tells the host that it is there."""


def fork(guest: Guest, tickets: list[Message], descriptors: list[int], files: str) -> None:
    """Makes one child a ticket; in a child it returns too, and the child is a guest of its own by then.

    The parent answers when all are forked, and pauses until every child has its own copy of the tree. `descriptors`
    holds, for each child, its control socket, its two pipes and, where the backend has them, the entrance of its jail.
    A child that cannot become one says why on its control socket; one that cannot be forked, the answer.

    `files`: see ways.py.
    """
    guest.flush()
    opened = [*descriptors]
    finished = -1
    left: Sequence[int] = ()
    answer: Message
    try:
        # The kernel delivers as many as the limit allows.
        if not descriptors or len(descriptors) % len(tickets):
            raise OSError(f"the sandbox has too many open files to be given those of {len(tickets)} children")
        unpaused = openmp.pause()
        threads, processes = threads_left_behind(), _processes(guest)
        branch = _branch(guest, files, len(tickets), opened, alone=not threads and not processes)
        opened += branch.left
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
        if number is not None:
            mine = descriptors[number * width : (number + 1) * width]
            layers = branch.layers[2 * number : 2 * number + 2]
            _close({*opened, finished} - {*mine, *layers, *kept, finish})
            openmp.restrict(unpaused)
            branch = branch._replace(layers=layers)
            _become(guest, tickets[number], mine, source, written, moment, branch)
            posix.close(finish)
            return
    except _Stayed as error:
        answer = {"stayed": str(error)}
    except OSError as error:
        answer = {"forked": 0, "failed": str(error)}
        left = ()
    guest.connection.send(answer, left)
    _close(opened)
    if finished >= 0:
        posix.read(finished, 1)  # ends when the last child has closed its copy, or has died
        posix.close(finished)


class _Branch(NamedTuple):
    """Where the children's trees come from. `layers`: two descriptors a child, as `Jail.stand_on` takes them.

    `left`: that of the parent's tree before, if it has moved to another; the host has it closed by who has time.
    """

    way: ways.Way
    layers: Sequence[int] = ()
    depth: int = 0
    left: Sequence[int] = ()


class _Stayed(OSError):
    """This guest did not move to the tree that it was given."""


def _branch(guest: Guest, files: str, children: int, opened: list[int], *, alone: bool) -> _Branch:
    """Has the host make trees that share layers, if that can be; moves this guest to its own. Adds to `opened`."""
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
    if not layers:  # they cannot be had
        return _Branch("copy")
    opened += layers
    if len(layers) != 2 * (children + bool(resources)):
        problem = f"the sandbox has too many open files to be given the trees of {children} children"
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
    """What the parent has at the moment of the fork, and os.fork alone would not give the child."""

    def __init__(self, guest: Guest, ours: Iterable[int]) -> None:
        self.resources = OpenResources(guest.jail.root, ignore={*guest.hidden, *ours})
        self._outputs = list(_leading_to((guest.out, guest.err), self.resources.pipes))
        self._timers = [signal.getitimer(timer) for timer in _TIMERS]
        self._random = _random()
        self._sequence = self._random and self._random.getstate()

    @property
    def timers(self) -> bool:
        """Whether one runs, and will interrupt what is at rest."""
        return any(setting[0] for setting in self._timers)

    def take_outputs(self, *pipes: int) -> None:
        """Whatever leads to the parent's pipes, standard output or a duplicate of it, leads to these from now on."""
        for number, index, inheritable in self._outputs:
            posix.dup2(pipes[index], number, inheritable)

    def restore(self) -> None:
        for timer, setting in zip(_TIMERS, self._timers, strict=True):
            if setting[0]:
                signal.setitimer(timer, *setting)
        if self._random:
            # CPython seeds it anew in a forked child; a snapshot does not.
            self._random.setstate(self._sequence)


def _become(
    guest: Guest,
    ticket: Message,
    descriptors: list[int],
    source: int,
    written: Sequence[Written],
    moment: _Moment,
    branch: _Branch,
) -> None:
    """In a child: a guest with its own pipes, its own tree and its own handles.

    `source` and `written` are the parent's tree, and what of the system the parent has written over.
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
        problems = []
        if branch.way != "freeze":
            try:
                problems = tree.synchronize(
                    source,
                    target,
                    skip=guest.jail.mounts,
                    untouched_since=guest.baseline,
                    changes=changes if branch.layers or not stood else None,
                    resolve=guest.jail.resolve,
                    most=None if guest.jail.left is None else _MOST_COPIED,
                )
            except tree.TooMuch:
                problems = _have_copied(guest)
        for over in written:
            problems += _write_over(over, guest.baseline)
        guest.baseline = ticket["baseline"]
        guest.commands.forget(guest.jail.root)
        problems += moment.resources.renew(
            guest.jail.root, resolve=guest.jail.resolve, forked=True, own=bool(branch.layers)
        )
        moment.restore()
        _close([control, out, err, target, source, *([] if changes is None else [changes])])
        _complain(guest, problems)
        guest.announce()
    except Exception as error:
        posix.write(control, encode({"failed": f"{type(error).__name__}: {error}"}))
        posix._exit(1)


def _have_copied(guest: Guest) -> list[str]:
    """By the keeper, for which the host is asked."""
    order = {"source": guest.jail.left, "skip": [*guest.jail.mounts], "since": guest.baseline}
    guest.connection.send({"copy": order})
    arrived = guest.connection.receive()
    if arrived is None:
        posix._exit(0)
    answer, _ = arrived
    if "failed" in answer:
        raise OSError(answer["failed"])
    problems: list[str] = answer["problems"]
    return problems


def _write_over(written: Written, untouched_since: int | None) -> list[str]:
    """Makes a directory of the system what it is in another sandbox; closes the descriptors."""
    target = posix.open(written.path, _DIRECTORY)
    try:
        return tree.synchronize(
            written.tree, target, untouched_since=untouched_since, changes=written.changes
        )
    finally:
        _close([target, written.tree, written.changes])


def show(guest: Guest) -> None:
    """Gives the host what another guest needs to follow.

    A descriptor of the tree, its mark, the state that the next random numbers come from, and how many processes run;
    where the system was written over, and two descriptors of each place.
    """
    root = posix.open(guest.jail.root, _DIRECTORY)
    written = guest.jail.written_over()
    descriptors = [root, *(number for over in written for number in (over.tree, over.changes))]
    random = _random()
    try:
        shown = {
            "mark": guest.jail.mark(),
            "random": random and random.getstate(),
            "processes": _processes(guest),
            "written": [over.path for over in written],
        }
        guest.connection.send(shown, descriptors)
    finally:
        _close(descriptors)


def follow(guest: Guest, shown: Message, descriptors: Sequence[int]) -> Message:
    """Makes this guest's tree equal to that of the descriptors: what a replay alone cannot bring about.

    `shown` is the message that came with them. The answer tells how many processes only the other has.
    """
    source, *others = descriptors
    try:
        resources = OpenResources(guest.jail.root, ignore={*guest.hidden, *descriptors})
        target = posix.open(guest.jail.root, _DIRECTORY)
        try:
            problems = tree.synchronize(
                source,
                target,
                skip=guest.jail.mounts,
                resolve=lambda path: guest.jail.resolve(path, shown["mark"]),
            )
            for path, over, changes in zip(shown["written"], others[::2], others[1::2], strict=True):
                problems += _write_over(Written(path, over, changes), None)
        finally:
            _close([source, target])
        _complain(guest, [*problems, *resources.renew(guest.jail.root)])
        guest.commands.forget(guest.jail.root)
    except OSError as error:
        return {"followed": False, "failed": str(error)}
    _draw_on(shown)
    return {"followed": True, "processes": max(0, shown["processes"] - _processes(guest))}


def pack(guest: Guest, archive: int) -> Message:
    """Writes this guest's tree into the descriptor `archive`; the answer is what `unpack` needs besides."""
    guest.flush()
    try:
        archiving.pack(guest.jail.root, guest.jail.mounts, archive)
    except OSError as error:
        return {"failed": str(error)}
    finally:
        posix.close(archive)
    random = _random()
    return {"mark": guest.jail.mark(), "random": random and random.getstate()}


def unpack(guest: Guest, packed: Message, archive: int) -> Message:
    """As `follow`, of a guest that is no more: `packed` is the answer that it gave."""
    try:
        resources = OpenResources(guest.jail.root, ignore={*guest.hidden, archive})
        archiving.unpack(
            guest.jail.root,
            guest.jail.mounts,
            archive,
            lambda path: guest.jail.resolve(path, packed["mark"]),
        )
        _complain(guest, resources.renew(guest.jail.root))
        guest.commands.forget(guest.jail.root)
    except OSError as error:
        return {"failed": str(error)}
    finally:
        posix.close(archive)
    _draw_on(packed)
    return {"unpacked": True}


def _draw_on(shown: Message) -> None:
    """The next random numbers are those that the other guest's would have been."""
    random = _random()
    if random and shown["random"]:
        version, numbers, gauss = shown["random"]
        random.setstate((version, tuple(numbers), gauss))


def _complain(guest: Guest, problems: list[str]) -> None:
    """What the sandbox has lost is said on its stderr."""
    for problem in problems:
        posix.write(guest.err, f"podflare: {problem}\n".encode("utf-8", "replace"))


def _random() -> Any:
    """The generator behind the functions of `random`; None if nobody can tell."""
    return getattr(
        sys.modules.get("random"), "_inst", None
    )  # absent from a module of the user's of that name


def _leading_to(pipes: Sequence[int], numbers: Iterable[int]) -> Iterator[tuple[int, int, bool]]:
    """The descriptors that lead to one of the pipes, which of them, and whether programs started inherit it."""
    identities = [_identity(pipe) for pipe in pipes]
    for number in numbers:
        try:
            identity, inheritable = _identity(number), posix.get_inheritable(number)
        except OSError:  # closed meanwhile, by a thread
            continue
        if identity in identities:
            yield number, identities.index(identity), inheritable


def _identity(number: int) -> tuple[int, int]:
    status = posix.fstat(number)
    return status.st_dev, status.st_ino


def _close(numbers: Iterable[int]) -> None:
    """Neighbours at once: each of many children has the descriptors of all."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number:
            runs[-1][1] += 1
        else:
            runs.append([number, number + 1])
    for first, end in runs:
        posix.closerange(first, end)


def _processes(guest: Guest) -> int:
    """How many the sandbox has started that are still running."""
    if _childless() and not guest.has_started:
        return 0
    sandbox = {"mark": guest.jail.mark(), "pid": guest.pid}
    born = runs_since(
        guest.pid
    )  # none is older than its guest: without namespaces, most that /proc shows are
    younger = (pid for pid in processes() if pid != guest.pid and runs_since(pid) >= born)
    return sum(guest.jail.belongs(pid, sandbox) for pid in younger)


def _childless() -> bool:
    """Whether this process has certainly never started another: the rest takes a look at everybody."""
    try:
        posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
    except ChildProcessError:
        waited_for = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt > 0
        return not waited_for and signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    return False
