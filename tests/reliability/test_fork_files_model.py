"""Random sequences of what programs do to files, in parents and children: by layers or replayed as by plain copies.

`--model-steps N` runs N steps in each comparison; by default a few.
"""

from __future__ import annotations

import json
import random
import warnings
from collections.abc import Callable, Iterator

import pytest

from podflare import Client, ReplayDiffersWarning, Sandbox

from ..matrix import SLOW
from ..serving import serving

_MOST = 5  # sandboxes at once
_DEEPEST = 20

# What every sandbox begins with. `look` tells all that a program could see of its files.
_BEGIN = """
import hashlib, mmap, os, shutil, sqlite3, stat
os.makedirs('/root/w/a/b'); os.chdir('/root/w')
handles, maps, counter = {}, {}, iter(range(10**9))
database = sqlite3.connect('/root/db', isolation_level=None)
database.execute('pragma journal_mode=wal'); database.execute('create table t (x)')

def look():
    seen, names = [], {}
    for place, directories, files in os.walk('.'):
        directories.sort()
        for name in sorted([*directories, *files]):
            path = os.path.join(place, name); s = os.lstat(path)
            kind = stat.S_IFMT(s.st_mode)
            body = os.readlink(path) if kind == stat.S_IFLNK else ''
            if kind == stat.S_IFREG:
                body = hashlib.md5(open(path, 'rb').read()).hexdigest()[:8] + ' ' + names.setdefault(s.st_ino, path)
                body += f' {s.st_size} {s.st_nlink}'
            seen.append(f'{path} {s.st_mode:o} {body}')
    held = {}
    for name, file in sorted(handles.items()):
        at = file.tell(); file.seek(0); held[name] = (at, file.read()[-200:]); file.seek(at)
    rows = database.execute('select x from t').fetchall()
    other = sqlite3.connect('/root/db'); also = other.execute('select x from t').fetchall(); other.close()
    return [seen, held, {n: bytes(m[:20]).hex() for n, m in sorted(maps.items())}, rows, also, os.getcwd()]

def do(action, *arguments):
    try:
        globals()[action](*arguments)
    except (OSError, KeyError, ValueError) as error:
        print(type(error).__name__, getattr(error, 'errno', ''))
    import json; print(json.dumps(look()))

def write(path, text): open(path, 'w').write(text)
def append(path, text): open(path, 'a').write(text)
def change(path, text):
    with open(path, 'r+') as file: file.write(text)
def truncate(path, size): os.truncate(path, size)
def rename(one, two): os.rename(one, two)
def replace(one, two): os.replace(one, two)
def link(one, two):
    os.link(one, two)
    # Else the two names of a file from a shared layer have different inodes until the kernel has forgotten one.
    os.link(two, 'again'); os.unlink(one); os.rename('again', one)
def symlink(one, two): os.symlink(one, two)
def unlink(path): os.unlink(path)
def chmod(path, mode): os.chmod(path, mode)
def mkdir(path): os.mkdir(path)
def rmtree(path): shutil.rmtree(path)
def move(one, two): shutil.move(one, two)
def open_file(name, path, mode): handles[name] = open(path, mode)
def write_to(name, text): handles[name].write(text); handles[name].flush()
def read_from(name, count): print(repr(handles[name].read(count)))
def close(name): handles.pop(name).close()
def map_file(name, path):
    with open(path, 'r+b') as file: maps[name] = mmap.mmap(file.fileno(), 0)
def write_map(name, text): maps[name][:len(text)] = text.encode()
def insert(value): database.execute('insert into t values (?)', (value,))
"""

_DIRECTORIES = ("a", "a/b", "c", "c/d")
_FILES = tuple(f"{directory}/{name}" for directory in (".", *_DIRECTORIES) for name in "xyz")


def _action(chance: random.Random) -> tuple[object, ...]:
    file, other, text = (
        chance.choice(_FILES),
        chance.choice(_FILES),
        chance.choice("pqrs") * chance.randrange(1, 9),
    )
    directory, place, name = chance.choice(_DIRECTORIES), chance.choice(_DIRECTORIES), chance.choice("hijk")
    actions: list[tuple[object, ...]] = [
        *[("write", file, text), ("append", file, text), ("mkdir", directory)] * 3,
        ("change", file, text),
        ("truncate", file, chance.randrange(12)),
        ("rename", file, other),
        ("replace", other, file),
        ("rename", directory, place),
        ("rename", place, f"moved{chance.randrange(3)}"),
        ("rename", f"moved{chance.randrange(3)}", directory),
        ("move", directory, place),
        ("link", file, other),
        ("symlink", file, other),
        ("unlink", file),
        ("chmod", chance.choice((file, directory)), chance.choice((0o700, 0o640, 0o755))),
        ("rmtree", directory),
        *[("open_file", name, file, chance.choice(("r+", "a+", "w+")))] * 2,
        *[("write_to", name, text)] * 2,
        ("read_from", name, chance.randrange(9)),
        ("close", name),
        ("map_file", name, file),
        ("write_map", name, text),
        *[("insert", chance.randrange(99))] * 2,
    ]
    return chance.choice(actions)


Fork = Callable[[Sandbox, int], list[Sandbox]]


def _fork(sandbox: Sandbox, n: int) -> list[Sandbox]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReplayDiffersWarning)  # handles of files that the past has not
        return sandbox.fork(n)


@pytest.fixture(params=["layers", "replay"])
def clients(request: pytest.FixtureRequest) -> Iterator[list[Client]]:
    other = {"fork": "replay"} if request.param == "replay" else {"fork_files": "layers"}
    with (
        serving("namespace", fork_files="copy") as plain,
        serving("namespace", **other) as tested,
        Client(host=plain.url) as one,
        Client(host=tested.url) as two,
    ):
        yield [one, two]


def _run(pair: list[Sandbox], code: str) -> None:
    plain, tested = (sandbox.run_code(code) for sandbox in pair)
    assert plain.exit_code == 0, plain
    assert tested.exit_code == 0, tested
    assert [*map(_readable, tested.stdout.splitlines())] == [*map(_readable, plain.stdout.splitlines())], code


def _readable(line: str) -> object:
    return json.loads(line) if line.startswith("[") else line


@SLOW
def test_files_are_what_a_copy_would_be(clients: list[Client], request: pytest.FixtureRequest) -> None:
    replays = "replay" in request.node.name
    steps: int = request.config.getoption("--model-steps") // (2 if replays else 1)
    seed = 0
    while steps > 0:
        chance = random.Random(seed)
        family: list[list[Sandbox]] = []
        depth = 0
        try:
            family.append([Sandbox(client=client) for client in clients])
            _run(family[0], _BEGIN)
            while depth < _DEEPEST and steps > 0:
                for _ in range(chance.randrange(3)):
                    steps -= 1
                    _run(chance.choice(family), f"do{_action(chance)!r}")
                parent = family[-1]  # of the deepest; now and then another
                if chance.random() < 0.3:
                    parent = chance.choice(family)
                n = chance.randrange(1, 3)
                children = [*zip(*(_fork(sandbox, n) for sandbox in parent), strict=True)]
                family += map(list, children)
                depth += 1
                while len(family) > (2 if replays else _MOST):
                    for sandbox in family.pop(chance.randrange(len(family) - 1)):
                        sandbox.close()
                for pair in family:
                    _run(pair, "do('insert', 0)")
        finally:
            for pair in family:
                for sandbox in pair:
                    sandbox.close()
        seed += 1
