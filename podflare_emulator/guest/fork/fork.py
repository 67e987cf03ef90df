"""Live fork: the guest forks itself, and each child moves into its own jail."""

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
_MOST_COPIED = 100  # files: beyond that, the keeper copies them faster
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC


class Repl(Protocol):
    def forget_interrupts(self) -> None:
        """Drops interrupts that have arrived: they were meant for the parent."""


class Commands(Protocol):
    def forget(self, root: str) -> None:
        """Call it when the tree has changed: it may no longer hold what was put there."""


class Guest(Protocol):
    """The part of a guest that a fork uses."""

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
        """Flushes its output."""

    def announce(self) -> None:
        """Tells the host that it is ready."""


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
        self._random = _random()
        self._sequence = self._random and self._random.getstate()

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
        if self._random:
            # CPython reseeds it in a forked child, but a restored snapshot does not.
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
    """In a child: makes it a guest with its own pipes, tree and handles.

    `source` and `written` are the parent's tree, and the system directories in which the parent has written.
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
    """Asks the host to have the keeper copy the files."""
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
    """Makes a system directory equal to that of another sandbox; closes the descriptors."""
    target = posix.open(written.path, _DIRECTORY)
    try:
        return tree.synchronize(
            written.tree, target, untouched_since=untouched_since, changes=written.changes
        )
    finally:
        _close([target, written.tree, written.changes])


def show(guest: Guest) -> None:
    """Sends the host what another guest needs to follow this one.

    That is a descriptor of the tree, its mark, the state of the random numbers, and how many processes run; also
    the system directories in which this guest has written, with two descriptors each.
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
    """Makes this guest's tree equal to the tree of the descriptors, which a replay alone cannot do.

    `shown` is the message that came with them. The answer says how many more processes the other guest has.
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
    """Writes this guest's tree to the descriptor `archive`; the answer holds what else `unpack` needs."""
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
    """Like `follow`, after a guest that no longer exists: `packed` is its answer to `pack`."""
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
    """Continues with the random numbers that the other guest would have drawn next."""
    random = _random()
    if random and shown["random"]:
        version, numbers, gauss = shown["random"]
        random.setstate((version, tuple(numbers), gauss))


def _complain(guest: Guest, problems: list[str]) -> None:
    """Reports on the sandbox's stderr what it has lost."""
    for problem in problems:
        posix.write(guest.err, f"podflare: {problem}\n".encode("utf-8", "replace"))


def _random() -> Any:
    """The generator behind the functions of `random`; None if it cannot be found."""
    # A module of the user with that name does not have it.
    return getattr(sys.modules.get("random"), "_inst", None)


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


def _close(numbers: Iterable[int]) -> None:
    """Closes adjacent descriptors in one call: each of many children has the descriptors of all."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number:
            runs[-1][1] += 1
        else:
            runs.append([number, number + 1])
    for first, end in runs:
        posix.closerange(first, end)


def _processes(guest: Guest) -> int:
    """How many processes that the sandbox has started are still running."""
    if _childless() and not guest.has_started:
        return 0
    sandbox = {"mark": guest.jail.mark(), "pid": guest.pid}
    # No process of the sandbox is older than its guest. Without namespaces, most that /proc shows are older.
    born = runs_since(guest.pid)
    younger = (pid for pid in processes() if pid != guest.pid and runs_since(pid) >= born)
    return sum(guest.jail.belongs(pid, sandbox) for pid in younger)


def _childless() -> bool:
    """Whether this process has certainly never started another. Otherwise all processes have to be checked."""
    try:
        posix.waitid(posix.P_ALL, 0, posix.WEXITED | posix.WNOHANG | posix.WNOWAIT)
    except ChildProcessError:
        waited_for = resource.getrusage(resource.RUSAGE_CHILDREN).ru_minflt > 0
        return not waited_for and signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
    return False
