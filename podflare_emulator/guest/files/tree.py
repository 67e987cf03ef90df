"""Directory trees by descriptor: make one equal to another.

Every step is one name relative to one descriptor. So no path can be too long, no symlink is ever followed, and
nothing depends on the process's current root.

The calls go to `posix`, not to `os`: this runs inside the user's interpreter, where user code (or the portable
backend) may have replaced functions of `os`.
"""

from __future__ import annotations

import errno
import posix
import stat
import time
from collections.abc import Callable, Collection, Sequence

from .contents import copy_contents, copy_metadata, has_attributes, printable, read_small, write
from .cursor import VANISHED, Cursor, staying
from .links import Links
from .special import copy_fifo, copy_symlink
from .targets import Targets

# How far (ns) the clock of file systems' time stamps may lag behind, and a little more.
SETTLING = 11_000_000


def now() -> int:
    """The current time in ns, as a value for `untouched_since`: all earlier changes have an earlier time stamp.

    File systems take time stamps from a coarse clock that lags behind, and from this clock only if they need to tell
    two changes apart (Linux 6.13). So nobody may change the tree for SETTLING ns after this call: such a change would
    look like an earlier one.
    """
    return time.time_ns()


def copy(source: str, target: str) -> None:
    """Makes the directory `target`, a copy of the tree `source`; raises OSError."""
    posix.mkdir(target)
    descriptors = [posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY) for path in (source, target)]
    try:
        synchronize(*descriptors)
    finally:
        for number in descriptors:
            posix.close(number)


def synchronize(
    source: int,
    *targets: int,
    skip: Collection[str] = (),
    untouched_since: int | None = None,
    changes: int | None = None,
    resolve: Callable[[str, int], str] = lambda path, _: path,
) -> list[str]:
    """Make the trees below the directory descriptors `targets` equal to the one below `source`.

    Several targets must be equal to each other. What is copied is then read only once.

    Equal in names, contents, holes, hard links, modes, mtimes, and, as far as the process may set them, in
    owners and extended attributes. Sockets and device nodes are left out. `source` may change meanwhile: entries
    that vanish are left out. Nobody else may change a target.

    Args:
        source: a descriptor of a directory; `O_PATH` is enough. It is only read.
        targets: descriptors of the directories that are changed; `O_PATH` is enough.
        skip: paths relative to the root, such as "proc" or "dev/shm", that are neither entered, nor copied,
            nor removed from the target: mount points.
        untouched_since: a time from `now()`, taken when both trees held the same files. An entry that has not
            changed in the source since then is assumed to be the same in the target. None copies everything.
            Misses writes through a shared mapping on tmpfs, which change no time stamp.
        changes: a descriptor of a directory that has an entry wherever the two trees may differ: the upper layer
            of an overlay whose lower layers the target has too. Other entries are not looked at.
        resolve: maps what a symbolic link in the source leads to, to what it leads to in the copy with this index.

    Returns:
        "path: reason" for each entry that was left out because it may not be read.

    Raises:
        OSError: `filename` is the path, relative to the root, that could not be copied (disk full, quota,
            input/output error). A target is then neither the old tree nor the new one.
    """
    if (
        changes is not None
        and _is_empty(changes)
        and all(_rights(source) == _rights(each) for each in targets)
    ):
        return []
    synchronization = _Synchronization(source, targets, skip, untouched_since, changes, resolve)
    try:
        with staying():
            synchronization.run()
    finally:
        synchronization.close()
    return synchronization.problems


class _Directory:
    """A directory of the source that is being worked on."""

    __slots__ = ("changed", "given", "in_place", "pending", "status", "untouched")

    def __init__(self, status: posix.stat_result, *, in_place: bool, untouched: bool) -> None:
        self.status = status
        # It has not been moved since the baseline, so the target has the same untouched entries.
        self.in_place = in_place
        self.untouched = untouched
        # The target's directory needs its metadata set again.
        self.changed = not (in_place and untouched)
        # Subdirectories to enter, and whether each is untouched.
        self.pending: list[tuple[str, bool]] = []
        # The status of a new file in the target's directory, by the mode that it was made with. The umask, a default
        # ACL and the owner are the same for all files of a directory.
        self.given: dict[int, posix.stat_result] = {}


class _Synchronization:
    def __init__(
        self,
        source: int,
        targets: Sequence[int],
        skip: Collection[str],
        untouched_since: int | None,
        changes: int | None,
        resolve: Callable[[str, int], str],
    ) -> None:
        self.problems: list[str] = []
        self._resolve = resolve
        self._source = Cursor(source)
        try:
            self._targets = Targets(targets)
            self._changes = None if changes is None else Cursor(changes)
        except OSError:
            self._source.close()
            raise
        self._since = -1 if untouched_since is None else untouched_since
        self._links = Links(self._targets)
        self._skipped: dict[str, set[str]] = {}
        self._leads_to_skipped: dict[str, set[str]] = {}
        self._skip_depth = 0
        for path in skip:
            *parents, name = path.strip("/").split("/")
            self._skipped.setdefault("/".join(parents), set()).add(name)
            for depth, parent in enumerate(parents):
                self._leads_to_skipped.setdefault("/".join(parents[:depth]), set()).add(parent)
            self._skip_depth = max(self._skip_depth, len(parents) + 1)

    def close(self) -> None:
        for cursor in (self._source, self._targets, self._changes):
            if cursor:
                cursor.close()

    def run(self) -> None:
        status = posix.fstat(self._source.fd)
        if status.st_ctime_ns % 1_000_000_000 == 0:
            self._since = -1  # time stamps of whole seconds cannot show what is untouched
        self._targets.unlock_root()
        root = _Directory(status, in_place=self._since >= 0, untouched=status.st_ctime_ns <= self._since)
        self._copy_entries(root)
        stack = [root]
        while stack:
            directory = stack[-1]
            if directory.pending:
                entered = self._enter(directory, *directory.pending.pop())
                if entered is not None:
                    stack.append(entered)
                    self._copy_entries(entered)
                continue
            if directory.changed or self._targets.unlocked:
                self._finish(directory)
            stack.pop()
            if stack:
                self._source.up()
                self._targets.up()
                if self._changes:
                    self._changes.up()

    def _enter(self, parent: _Directory, name: str, untouched: bool) -> _Directory | None:
        """Go down into `name` on both sides."""
        try:
            status = self._source.down(name)
        except OSError as error:
            if error.errno == errno.EACCES:
                if parent.in_place and untouched:
                    return None  # nobody could change anything in it, so the target has the same
                self._report(name, error)
            elif error.errno not in VANISHED:
                raise self._named(name, error) from error
            self._clear(parent, name)
            return None
        # Moving a directory changes its own ctime and that of the directory it is moved into.
        in_place = parent.in_place and (parent.untouched or untouched)
        try:
            if in_place and parent.untouched:
                self._targets.enter_later(name)
            elif not self._targets.enter(name):
                in_place, parent.changed = False, True
        except OSError as error:
            raise self._named(name, error) from error
        if self._changes:
            self._changes.down_later(name)
        return _Directory(status, in_place=in_place, untouched=untouched)

    def _copy_entries(self, directory: _Directory) -> None:
        """Copy the entries of the current directory, except its subdirectories, which become pending."""
        here = self._source.fd
        with posix.scandir(here) as listing:
            entries = list(listing)
        skipped: Collection[str] = ()
        kept: Collection[str] = ()
        if self._source.depth < self._skip_depth:
            path = self._source.path()
            skipped = self._skipped.get(path, ())
            kept = self._leads_to_skipped.get(path, ())
        in_place = directory.in_place
        present: set[str] | None = None  # the names in the target; unknown as long as they must be the same
        if not (in_place and directory.untouched):
            present = set(posix.listdir(self._targets.fd))
            for name in present.difference((entry.name for entry in entries), skipped, kept):
                self._clear(directory, name)
        since = self._since
        changed = self._changed_names()
        for entry in entries:
            name = entry.name
            if name in skipped or (changed is not None and name not in changed):
                continue
            status = None
            try:
                if in_place or not entry.is_file(follow_symlinks=False):  # else it is copied in any case
                    status = entry.stat(follow_symlinks=False)
            except OSError as error:
                if error.errno == errno.EACCES:  # a directory that may be listed but not searched
                    self._report(name, error)
                elif error.errno not in VANISHED:
                    raise self._named(name, error) from error
                self._clear(directory, name)
                continue
            if status is not None:
                untouched = status.st_ctime_ns <= since
                if stat.S_ISDIR(status.st_mode):
                    directory.pending.append((name, untouched))
                    continue
                if in_place and untouched:
                    if status.st_nlink == 1:
                        continue
                    if not self._links.has(status):
                        self._links.add(status, name)
                        continue
            directory.changed = True
            try:
                self._copy(directory, name, status, here, present is None or name in present)
            except OSError as error:
                raise self._named(name, error) from error

    def _changed_names(self) -> set[str] | None:
        """The entries of the current directory that may differ; None if that is unknown."""
        if self._changes is None:
            return None
        try:
            return set(posix.listdir(self._changes.fd))
        except OSError as error:
            if error.errno in VANISHED:
                return None
            raise

    def _copy(
        self, directory: _Directory, name: str, status: posix.stat_result | None, here: int, replaces: bool
    ) -> None:
        """Copy one entry that is not a directory. `status`: None for a regular file whose status is not known yet."""
        kind = stat.S_IFREG if status is None else stat.S_IFMT(status.st_mode)
        if kind not in (stat.S_IFREG, stat.S_IFLNK, stat.S_IFIFO):
            # The target may have its own device here, even a mounted one; anything else must go.
            if replaces and _kind(name, self._targets.fd) != kind:
                self._targets.remove(name)
            return
        if replaces:
            self._targets.remove(name)
        copied: posix.stat_result | None = None
        if status is None:
            copied = self._copy_file(directory, name, here)
        elif self._links.make(status, name):
            return
        elif kind == stat.S_IFREG:
            copied = self._copy_file(directory, name, here)
        else:
            for index, there in enumerate(self._targets.fds):
                if kind == stat.S_IFLNK:
                    copied = copy_symlink(name, status, here, there, self._resolve, index)
                else:
                    copied = copy_fifo(name, status, there)
        if copied is not None and copied.st_nlink > 1:
            self._links.add(copied, name)

    def _copy_file(self, directory: _Directory, name: str, here: int) -> posix.stat_result | None:
        """Copy a regular file; returns the status of what was copied, None if there was nothing to copy."""
        try:
            # O_NONBLOCK in case it has become a FIFO meanwhile.
            reader = posix.open(name, posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_NONBLOCK, dir_fd=here)
        except OSError as error:
            if error.errno == errno.EACCES:
                self._report(name, error)
            elif error.errno not in VANISHED:
                raise
            return None
        try:
            # Not the status from the listing: a background process may have renamed another file into place, and
            # that must be copied completely.
            status = posix.fstat(reader)
            if not stat.S_ISREG(status.st_mode) or self._links.make(status, name):
                return None
            content = read_small(reader, status)
            attributes = reader if has_attributes(reader) else None
            mode = status.st_mode & 0o777 | 0o600
            for there in self._targets.fds:
                writer = posix.open(name, posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL, mode, dir_fd=there)
                try:
                    given = directory.given.get(mode)
                    if given is None:
                        given = directory.given[mode] = posix.fstat(writer)
                    if content is None:
                        copy_contents(reader, writer, status)
                    else:
                        write(writer, content)
                    copy_metadata(attributes, writer, status, given)
                finally:
                    posix.close(writer)
        finally:
            posix.close(reader)
        return status

    def _finish(self, directory: _Directory) -> None:
        """Set the directory's metadata: creating entries changes it, the times above all."""
        try:
            reader: int | None = self._source.fd
        except OSError:
            reader = None  # moved meanwhile
        try:
            for there in self._targets.fds:
                copy_metadata(reader, there, directory.status)
        except OSError as error:
            raise self._named(None, error) from error

    def _clear(self, directory: _Directory, name: str) -> None:
        """Remove `name` from the target, whatever kind of entry it is."""
        directory.changed = True
        try:
            self._targets.remove(name)
        except OSError as error:
            raise self._named(name, error) from error

    def _report(self, name: str, error: OSError) -> None:
        self.problems.append(f"{printable(self._source.path(name))}: {error.strerror}")

    def _named(self, name: str | None, error: OSError) -> OSError:
        path = self._source.path() if name is None else self._source.path(name)
        return OSError(error.errno, error.strerror, path)


def _is_empty(directory: int) -> bool:
    # Its own open file description: other processes may be listing the directory.
    own = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY, dir_fd=directory)
    try:
        return not posix.listdir(own)
    finally:
        posix.close(own)


def _rights(directory: int) -> tuple[int, int, int]:
    status = posix.fstat(directory)
    return status.st_mode, status.st_uid, status.st_gid


def _kind(name: str, parent: int) -> int:
    """The file type bits of an entry, 0 when it does not exist."""
    try:
        return stat.S_IFMT(posix.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return 0
