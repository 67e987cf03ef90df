"""The programs behind upload, download and diff.

They travel as ordinary Python execs, so that they work against any server. Each runs in a globals dict of its
own: it neither sees nor leaves a name in the sandbox's REPL.
"""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from errno import ENOENT
from pathlib import Path
from typing import Any, TypeAlias

from podflare.core.concurrency import async_shield
from podflare.errors import InvalidArgumentError, transfer_error
from podflare.types import ExecResult

RunPython: TypeAlias = Callable[[str], Awaitable[ExecResult]]

CLEANING = 2.0
"""Seconds for what an upload that has failed leaves: the sandbox may be busy for as long as it likes."""

# Bytes of a file in one request; as base64 in JSON this stays under 3 MB.
_PIECE = 2 * 1024 * 1024

# The answer stands between two marks, because threads of the sandbox's user may print at the same time.
_ANSWER = """
import json, sys
try:
    reply = {"answer": answer()}
except Exception as error:
    reason = getattr(error, "strerror", None) or f"{type(error).__name__}: {error}"
    reply = {"errno": getattr(error, "errno", None), "reason": reason}
sys.stdout.write(f"{mark}{json.dumps(reply)}{mark}\\n")
sys.stdout.flush()
"""

# Opens the file as open(path, "wb") does: the mode of an existing file stays, symbolic links are followed.
_WRITE = """
import base64, os
def answer():
    os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
    with open(path, "wb") as file:
        file.write(base64.b64decode(data))
"""

_STAGE = """
import base64, os, tempfile
def answer():
    with open(os.path.join(tempfile.gettempdir(), stage), "ab") as file:
        file.write(base64.b64decode(data))
"""

_COMMIT = """
import hashlib, os, shutil, tempfile
def answer():
    staged = os.path.join(tempfile.gettempdir(), stage)
    try:
        digest = hashlib.sha256()
        with open(staged, "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        if digest.hexdigest() != sha256:
            raise OSError("the pieces that arrived are not the file that was sent")
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        with open(staged, "rb") as source, open(path, "wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    finally:
        os.unlink(staged)
"""

_DISCARD = """
import os, tempfile
def answer():
    os.unlink(os.path.join(tempfile.gettempdir(), stage))
"""

_READ = """
import base64, hashlib
def answer():
    with open(path, "rb") as file:
        content = file.read()
    return {"data": base64.b64encode(content).decode(), "sha256": hashlib.sha256(content).hexdigest()}
"""

# Without a file object for each file, of which there may be thousands.
_HASH = """
import hashlib, os, stat

def content_hash(path):
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        digest = hashlib.sha256(os.read(file, 1 << 16))
        while block := os.read(file, 1 << 20):
            digest.update(block)
    finally:
        os.close(file)
    return digest.hexdigest()

def answer():
    hashes = {}
    def add(path):
        try:
            hashes[path] = content_hash(path)
        except FileNotFoundError:
            pass
        except OSError:
            hashes[path] = None
    directories = []
    for path in paths:
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            continue
        if stat.S_ISDIR(mode):
            directories.append(path)
        elif stat.S_ISREG(mode):
            add(path)
    while directories:
        try:
            with os.scandir(directories.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        directories.append(entry.path)
                    elif entry.is_file(follow_symlinks=False):
                        add(entry.path)
        except OSError:
            continue
    return hashes
"""


async def upload(
    run: RunPython,
    run_in_time: RunPython,
    data: bytes | bytearray | memoryview | str | os.PathLike[str],
    remote_path: str,
) -> None:
    """Write bytes, or the content of a local file, to a file of the sandbox.

    What is left after a failure is removed by `run_in_time`, which must not take longer than `CLEANING`.
    """
    content = _content(data)
    task = f"upload to {remote_path!r}"
    if len(content) <= _PIECE:
        await _answer(run, task, remote_path, _WRITE, path=remote_path, data=_encoded(content))
        return
    stage = f".podflare-upload-{secrets.token_hex(8)}"
    try:
        for start in range(0, len(content), _PIECE):
            piece = _encoded(content[start : start + _PIECE])
            await _answer(run, task, remote_path, _STAGE, stage=stage, data=piece)
        sha256 = hashlib.sha256(content).hexdigest()
        await _answer(run, task, remote_path, _COMMIT, stage=stage, path=remote_path, sha256=sha256)
    except BaseException:
        with async_shield(), suppress(Exception):
            await _answer(run_in_time, task, remote_path, _DISCARD, stage=stage)
        raise


async def download(run: RunPython, remote_path: str) -> bytes:
    """Read a file of the sandbox."""
    task = f"download of {remote_path!r}"
    answer = await _answer(run, task, remote_path, _READ, path=remote_path)
    content = base64.b64decode(answer["data"])
    if hashlib.sha256(content).hexdigest() != answer["sha256"]:
        raise transfer_error(f"{task} failed: what arrived is not the file's content")
    return content


async def content_hashes(run: RunPython, paths: Iterable[str]) -> dict[str, str | None]:
    """The SHA-256 of each regular file at or under the paths, None for one that cannot be read.

    Symbolic links are not followed. A path that is missing, or a directory that cannot be read, is empty.
    """
    # Without its last slashes "/root/" gives the same names as "/root".
    tidy = [path.rstrip("/") or "/" for path in paths]
    hashes: dict[str, str | None] = await _answer(run, f"diff of {tidy}", None, _HASH, paths=tidy)
    return hashes


def _content(data: bytes | bytearray | memoryview | str | os.PathLike[str]) -> bytes:
    if isinstance(data, bytes):
        return data
    if isinstance(data, str) and not os.path.lexists(data):
        message = "no such local file; to upload text, encode it first: upload(text.encode(), remote_path)"
        raise transfer_error(message, ENOENT, data[:200])
    if isinstance(data, (str, os.PathLike)):
        try:
            return Path(data).read_bytes()
        except OSError as error:
            raise transfer_error(str(error), cause=error) from error
    try:
        return memoryview(data).tobytes()
    except TypeError:
        raise InvalidArgumentError(
            f"upload takes bytes, or the path of a local file, not {data!r:.100}; of an open file give file.read()"
        ) from None


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


async def _answer(run: RunPython, task: str, remote_path: str | None, program: str, **names: object) -> Any:
    mark = f"podflare-{secrets.token_hex(8)}:"
    # In ASCII, because a file name that is no UTF-8 holds lone surrogates.
    code = f"__import__('builtins').exec({program + _ANSWER!a}, {dict(names, mark=mark)!a})"
    result = await run(code)
    try:
        reply = json.loads(result.stdout.split(mark)[1])
    except (IndexError, ValueError):
        ending = result.stderr.strip() or "the sandbox printed no answer; does its REPL redirect sys.stdout?"
        raise transfer_error(f"{task} failed with exit code {result.exit_code}: {ending}") from None
    if "answer" in reply:
        return reply["answer"]
    if reply["errno"] is None:
        raise transfer_error(f"{task} failed: {reply['reason']}")
    raise transfer_error(f"{task.split()[0]} failed: {reply['reason']}", reply["errno"], remote_path)
