"""The sandbox as its user sees it."""

import os
import sys
import threading
import warnings
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from types import FrameType, TracebackType

from podflare import transfer
from podflare.client import Client
from podflare.errors import (
    ForkWarning,
    NotFoundError,
    ProcessesLeftBehindWarning,
    ReplayDiffersWarning,
    SandboxClosedError,
    ThreadsLeftBehindWarning,
)
from podflare.types import Event, ExecResult, Forked, Language


class Sandbox:
    """A cloud sandbox: a long-lived Python REPL with a filesystem of its own, which can be forked in memory.

    Making one creates it on the server; `close`, or the end of a `with` block, destroys it. A sandbox may be
    used from several threads: the server runs one exec at a time, and lets the others wait.

    Args:
        template: What the sandbox starts from.
        host, api_key, traceparent: As in `Client`.
        client: A client to share. It stays open when the sandbox is closed. Without one, the sandbox makes
            its own, shares it with its forks, and the last of them closes it.
        timeout_seconds: The sandbox's lifetime. The server caps it according to the account's tier.
        idle_timeout_seconds: Seconds without an exec after which the server ends the sandbox.
        ram_mib: Memory in MiB.
        rootfs_gb: Size of the filesystem in GB.
        persistent: Whether an idle sandbox is frozen into a Space instead of being destroyed.
        egress: Whether the sandbox reaches the network.

    Raises:
        ValueError: If the host is no URL, or if both a client and the settings of one are given.
        APIStatusError: If the server refuses, here and in every method.
        APIConnectionError: If the server gives no complete answer, here and in every method.
        SandboxClosedError: In every method but `close`, after the sandbox was closed or merged into another.
    """

    def __init__(
        self,
        *,
        template: str = "default",
        host: str | None = None,
        api_key: str | None = None,
        client: Client | None = None,
        traceparent: str | None = None,
        timeout_seconds: int | None = None,
        idle_timeout_seconds: int | None = None,
        ram_mib: int | None = None,
        rootfs_gb: int | None = None,
        persistent: bool | None = None,
        egress: bool | None = None,
    ) -> None:
        if client is not None and (host, api_key, traceparent) != (None, None, None):
            raise ValueError("give either a client, or host, api_key and traceparent: a client has its own")
        settings: dict[str, object] = {
            "template": template,
            "timeout_seconds": timeout_seconds,
            "idle_timeout_seconds": idle_timeout_seconds,
            "ram_mib": ram_mib,
            "rootfs_gb": rootfs_gb,
            "persistent": persistent,
            "egress": egress,
        }
        owned = client is None
        client = client or Client(host, api_key, traceparent)
        try:
            sandbox_id = client.create({name: value for name, value in settings.items() if value is not None})
        except BaseException:
            if owned:
                client.close()
            raise
        self._attach(sandbox_id, _SharedClient(client, owned=owned))

    def _attach(self, sandbox_id: str, shared_client: "_SharedClient") -> None:
        self._id = sandbox_id
        self._shared_client = shared_client
        # Why the sandbox can no longer be used; None while it can.
        self._ended: str | None = None
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """The sandbox's id on the server. It stays the same when another sandbox is merged into this one."""
        return self._id

    def run_code(self, code: str, language: Language = "python") -> ExecResult:
        """Run code and wait until it has finished, however long that takes.

        An exception in the code is no exception here: it is a traceback on `stderr` and an `exit_code` other
        than 0.

        Args:
            code: Python for the sandbox's REPL, which keeps its state between calls, or a bash script, which
                runs in a fresh process each time. It may be indented as a block.
            language: `"python"` or `"bash"`.
        """
        stdout: list[str] = []
        stderr: list[str] = []
        exit_code = 0
        with closing(self.run_code_stream(code, language)) as events:
            for event in events:
                if event.type == "stdout":
                    stdout.append(str(event.data))
                elif event.type == "stderr":
                    stderr.append(str(event.data))
                else:
                    exit_code = int(event.data)
        return ExecResult("\n".join(stdout), "\n".join(stderr), exit_code)

    def run_code_stream(self, code: str, language: Language = "python") -> Generator[Event, None, None]:
        """Run code and yield its events as they arrive: lines of output, then one `exit`.

        The code starts when the first event is asked for. Closing the generator breaks it off.
        """
        with self._in_use() as client, closing(client.execute(self._id, code, language)) as events:
            yield from events

    def fork(self, n: int = 1) -> "list[Sandbox]":
        """Make n independent copies of the sandbox as it is now: memory, REPL, open files and filesystem.

        Warns:
            ThreadsLeftBehindWarning: If the sandbox runs threads, which the copies do not have.
            ProcessesLeftBehindWarning: If the sandbox has started processes that still run; the copies lack them.
            ReplayDiffersWarning: If the server has made the copies by running the sandbox's code again, and some
                of it ended otherwise.
        """
        with self._in_use() as client:
            forked = client.fork(self._id, n)
            children = [self._forked(child_id) for child_id in forked.ids]
        try:
            for category, message in _remarks(self._id, forked):
                warnings.warn(message, category, stacklevel=_callers_level())
        except ForkWarning:
            # Under `-W error` the caller never sees the children.
            for child in children:
                child.close()
            raise
        return children

    def _forked(self, child_id: str) -> "Sandbox":
        self._shared_client.hold()
        child = Sandbox.__new__(Sandbox)
        child._attach(child_id, self._shared_client)
        return child

    def merge_into(self, winner: "Sandbox") -> None:
        """Make the winner's state the state of this sandbox, at once and completely.

        This sandbox keeps its id. The winner's id is gone; its `close` does nothing from now on.
        """
        with self._in_use() as client, winner._lock:
            winner._check_open()
            client.merge_into(self._id, winner._id)
            winner._ended = f"sandbox {winner._id} was merged into {self._id}; use that one"
            winner._shared_client.let_go()

    def diff(self, other: "Sandbox", paths: list[str] | None = None) -> dict[str, list[str]]:
        """Compare the regular files of two sandboxes by their content.

        Args:
            other: The sandbox to compare with.
            paths: Directories or files to compare. Default: `/root` and `/tmp`. Symbolic links are not
                followed. A path that is missing, and a directory that cannot be read, count as empty.

        Returns:
            Sorted paths: `"added"` are only in the other, `"removed"` only in this one, `"modified"` in both,
            with different content. A file that only one of the two can read counts as modified; one that
            neither can read, as the same.

        Raises:
            OSError: If a sandbox gives no list of its files.
        """
        compared = ["/root", "/tmp"] if paths is None else paths
        with ThreadPoolExecutor(max_workers=1) as pool:
            pending = pool.submit(transfer.content_hashes, other.run_code, compared)
            mine = transfer.content_hashes(self.run_code, compared)
            theirs = pending.result()
        return {
            "added": sorted(theirs.keys() - mine.keys()),
            "removed": sorted(mine.keys() - theirs.keys()),
            "modified": sorted(path for path in mine.keys() & theirs.keys() if mine[path] != theirs[path]),
        }

    def upload(
        self,
        data: bytes | bytearray | memoryview | str | os.PathLike[str],
        remote_path: str | os.PathLike[str],
    ) -> None:
        """Write a file in the sandbox, as `open(remote_path, "wb")` would. Missing directories are made.

        Files of more than 2 MiB are collected in the sandbox's temporary directory first, so that a transfer
        that breaks off leaves the file at `remote_path` as it was.

        Args:
            data: The content, or the path of a local file. Text must be encoded: a `str` is a path.
            remote_path: Where to write. A relative path starts from the working directory of the REPL.

        Raises:
            OSError: If the local file cannot be read or the remote one not written, as the subclass that
                fits: `PermissionError`, `IsADirectoryError`, …
        """
        transfer.upload(self.run_code, data, os.fspath(remote_path))

    def download(self, remote_path: str | os.PathLike[str]) -> bytes:
        """Return the content of a file in the sandbox. Meant for files of a few MB.

        Raises:
            OSError: If the file cannot be read, as the subclass that fits: `FileNotFoundError`, …
        """
        return transfer.download(self.run_code, os.fspath(remote_path))

    def replay(self) -> Generator[Event, None, None]:
        """Yield the sandbox's recent events, up to 1000, of all its execs."""
        with self._in_use() as client, closing(client.replay(self._id)) as events:
            yield from events

    def close(self) -> None:
        """Destroy the sandbox. Closing it again, or after it was merged into another, does nothing.

        Raises:
            PodflareError: It could not be destroyed, and is open still: closing it again tries again.
        """
        with self._lock:
            if self._ended is not None:
                return
            self._ended = f"sandbox {self._id} is closed"
            try:
                # Gone already, for example by its time limit: what close wants.
                with suppress(NotFoundError):
                    self._shared_client.client.destroy(self._id)
            except BaseException:
                self._ended = None
                raise
            self._shared_client.let_go()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            self.close()
        except Exception:
            if exc_type is None:
                raise
            # What ended the block often makes close fail too: a second report would hide the first.
            self._ended = f"sandbox {self._id} could not be closed"
            self._shared_client.let_go()

    def __repr__(self) -> str:
        return f"<Sandbox {self._id}{'' if self._ended is None else ' (ended)'}>"

    def _check_open(self) -> None:
        if self._ended is not None:
            raise SandboxClosedError(self._ended)

    @contextmanager
    def _in_use(self) -> Iterator[Client]:
        """The client, which stays open for this call even if another thread closes the sandbox meanwhile."""
        with self._lock:
            self._check_open()
            self._shared_client.hold()
        try:
            yield self._shared_client.client
        finally:
            self._shared_client.let_go()


def _remarks(sandbox_id: str, forked: Forked) -> Iterator[tuple[type[ForkWarning], str]]:
    """What the server has said of the fork, in words."""
    if forked.threads_left_behind:
        yield (
            ThreadsLeftBehindWarning,
            f"{forked.threads_left_behind} thread(s) of sandbox {sandbox_id} exist only there: a fork copies all "
            "memory, but only the thread that runs the code. Locks that the others hold stay locked in "
            "the children. Start threads after the fork, or join them before it.",
        )
    if forked.processes_left_behind:
        yield (
            ProcessesLeftBehindWarning,
            f"{forked.processes_left_behind} process(es) that sandbox {sandbox_id} has started run only there: a fork "
            "copies the interpreter and the files. Start processes after the fork, or end them before it.",
        )
    if forked.replay_differences:
        yield (
            ReplayDiffersWarning,
            f"the children of sandbox {sandbox_id} were made by running its code again, and the Python call(s) number "
            f"{forked.replay_differences} printed something else, ended with another exit code, or had been "
            "interrupted: the children may differ from the parent.",
        )


def _callers_level() -> int:
    """For `warnings.warn`: the level of the line that has called this package.

    Wrappers of the class's methods are passed over if they hide from pytest's tracebacks, as test tools do.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back and (_is_ours(frame) or "__tracebackhide__" in frame.f_locals):
        level, frame = level + 1, frame.f_back
    return level


def _is_ours(frame: FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).partition(".")[0] == __name__.partition(".")[0]


class _SharedClient:
    """Counts the sandboxes, and the calls in progress, that need a client; the last to let go closes it.

    A client that the user brought (not owned) is never closed here.
    """

    def __init__(self, client: Client, *, owned: bool) -> None:
        self.client = client
        self._owned = owned
        self._holders = 1
        self._lock = threading.Lock()

    def hold(self) -> None:
        with self._lock:
            self._holders += 1

    def let_go(self) -> None:
        with self._lock:
            self._holders -= 1
            unused = self._holders == 0
        if unused and self._owned:
            self.client.close()
