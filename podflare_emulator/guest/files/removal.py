"""Removes a tree by descriptor, whatever its modes, and even if processes still write in it."""

from __future__ import annotations

import errno
import posix

from .cursor import VANISHED, Cursor

# How often a directory is emptied again because another process keeps creating entries in it.
_ROUNDS = 100


def remove(parent: int, name: str) -> None:
    """Remove the entry `name` of the directory descriptor `parent`, a whole tree if it is a directory.

    The tree's owner can remove it whatever its modes are. Entries may vanish or appear meanwhile. It is no error
    if `name` does not exist.

    Raises:
        OSError: `filename` is the path, relative to `parent`, that could not be removed; ENOTEMPTY if
            another process kept creating entries in it.
    """
    try:
        posix.unlink(name, dir_fd=parent)
        return
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):  # Linux and macOS for "this is a directory"
        pass
    cursor = Cursor(parent, unlock=True)
    try:
        _remove_directory(cursor, name)
    finally:
        cursor.close()


def _remove_directory(cursor: Cursor, name: str) -> None:
    # For each level: the names that are still to be removed, and how often the last of them was emptied.
    levels: list[list[str]] = [[name]]
    rounds = [0]
    while levels:
        names = levels[-1]
        if not names:
            levels.pop()
            rounds.pop()
            if levels:
                cursor.up()
            continue
        last = names[-1]
        try:
            posix.rmdir(last, dir_fd=cursor.fd)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno == errno.ENOTDIR:
                _unlink(cursor, last)
            elif error.errno not in (errno.ENOTEMPTY, errno.EEXIST) or rounds[-1] == _ROUNDS:
                raise OSError(error.errno, error.strerror, cursor.path(last)) from error
            else:
                rounds[-1] += 1
                levels.append(_empty(cursor, last))
                rounds.append(0)
                continue
        names.pop()
        rounds[-1] = 0


def _empty(cursor: Cursor, name: str) -> list[str]:
    """Enter a directory and unlink its entries, except subdirectories; returns the names of those."""
    try:
        cursor.down(name)
    except OSError as error:
        if error.errno in VANISHED:
            cursor.down_later(name)
            return []
        raise OSError(error.errno, error.strerror, cursor.path(name)) from error
    with posix.scandir(cursor.fd) as listing:
        entries = list(listing)
    directories = []
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            directories.append(entry.name)
        else:
            _unlink(cursor, entry.name)
    return directories


def _unlink(cursor: Cursor, name: str) -> None:
    try:
        posix.unlink(name, dir_fd=cursor.fd)
    except (FileNotFoundError, IsADirectoryError):
        pass  # it is gone, or the next round will find it
    except OSError as error:
        raise OSError(error.errno, error.strerror, cursor.path(name)) from error
