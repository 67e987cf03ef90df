"""The keeper: makes and removes jails, starts zygotes, and is the init of every process without a nearer one."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
from typing import TYPE_CHECKING

from ..files import removal, tree
from ..jail.namespace.keep import Keep
from ..protocol import Connection, Message
from .reaper import Reaper

if TYPE_CHECKING:
    from ..jail import plain


class Keeper:
    """Serves the host: `zygote`, `jail`, `branch`, `stay`, `copy` and `remove`, and what every init answers."""

    def __init__(self, connection: Connection, keep: Keep | plain.Keep) -> None:
        self._connection = connection
        self._keep = keep

    def serve(self) -> None:
        reaper = Reaper(self._connection, self._keep.belongs)
        keep = self._keep
        self._connection.send(
            {
                "kept": True,
                "state": keep.state,
                "shared": keep.shared,
                "places": keep.places,
                "mounts": keep.mounts,
                "no_layers": keep.no_layers,
            }
        )
        reaper.serve(self._answer)

    def _answer(self, message: Message, descriptors: list[int]) -> None:
        """Something that fails (no process can be forked, say) must not end the keeper, and every sandbox with it."""
        try:
            self._do(message, descriptors)
        except OSError as error:
            if descriptors:  # a socket that is waited on for the answer
                Connection(socket.socket(fileno=descriptors[0])).send({"failed": str(error)})
            elif "id" in message:
                self._connection.send({"id": message["id"], "error": str(error)})

    def _do(self, message: Message, descriptors: list[int]) -> None:
        match message["op"]:
            case "zygote":
                self._start_zygote(descriptors[0])
            case "jail":
                self._make_jail(message["id"], message["disk_gb"])
            case "branch":
                self._branch(message)
            case "stay" if isinstance(self._keep, Keep):
                self._keep.stay(message["jail"])
            case "copy":
                self._copy(message, descriptors[0])
            case "remove":
                self._remove(message["jail"], left=message["left"])
            case unknown:
                raise ValueError(f"unknown message {unknown!r}")

    def _start_zygote(self, control: int) -> None:
        pid = os.fork()
        if pid:
            os.close(control)
            return
        try:
            os.dup2(control, 3, inheritable=True)
            os.closerange(4, resource.getrlimit(resource.RLIMIT_NOFILE)[0])  # guests would inherit these
            os.execve(
                self._keep.executable,
                # No options: multiprocessing would pass them on to the Pythons that user code starts.
                [self._keep.python, self._keep.guest_code, "zygote", "3", self._keep.name],
                self._keep.environment,
            )
        except OSError as error:
            reason = f"the sandboxes' Python cannot be started: {error.strerror}"
            Connection(socket.socket(fileno=3)).send({"failed": reason})
        finally:
            os._exit(127)

    def _make_jail(self, request: int, disk_gb: int | None) -> None:
        name = os.urandom(5).hex()  # it identifies processes, even among those of other emulators
        try:
            if isinstance(self._keep, Keep):
                entrance, baseline = self._keep.prepare(name, disk_gb)
            else:
                entrance, baseline = self._keep.prepare(name)
        except OSError:
            self._remove(name, left=False)
            raise
        settles_in = max(0, tree.SETTLING - (tree.now() - baseline)) / 1e9
        answer = {"id": request, "jail": name, "baseline": baseline, "settles_in": settles_in}
        self._connection.send(answer, entrance)
        for number in entrance:
            os.close(number)

    def _branch(self, message: Message) -> None:
        """For a fork: makes trees that share their parent's layers."""
        if not isinstance(self._keep, Keep):
            raise OSError("this backend has no layers")
        opened, depth = self._keep.branch(message["jail"], message["children"], freeze=message["freeze"])
        self._connection.send({"id": message["id"], "depth": depth}, opened)
        for number in opened:
            os.close(number)

    def _copy(self, message: Message, answers: int) -> None:
        """Copies in a child process, which answers on the socket that came with the message."""
        if os.fork():
            os.close(answers)
            return
        try:
            assert not isinstance(self._keep, Keep)
            source, targets = message["jail"], message["children"]
            try:
                answer: Message = {
                    "problems": self._keep.copy(source, targets, skip=message["skip"], since=message["since"])
                }
            except OSError as error:
                answer = {"failed": str(error)}
            Connection(socket.socket(fileno=answers)).send(answer)
        finally:
            os._exit(0)

    def _remove(self, name: str, *, left: bool) -> None:
        """Removes a jail, in a child process unless it is small: a large tree must not delay the next jail.

        `left`: whether all processes in it are known to have ended.
        """
        names = [name]
        with contextlib.suppress(OSError):  # the rest will be removed with the state directory
            names = self._keep.take_back(name, left=left)
        if not names:
            return
        try:
            child = os.fork()
        except OSError:  # there are too many processes: the next jail has to wait
            self._remove_trees(names)
            return
        if child:
            return
        try:
            for number in self._keep.held.values():
                os.close(number)
            self._remove_trees(names)
        finally:
            os._exit(0)

    def _remove_trees(self, names: list[str]) -> None:
        for name in names:
            removal.remove(self._keep.jails, name)
