"""Python's arenas on malloc's heap, in an interpreter of its own: a mistake would abort it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import podflare_emulator.guest
from podflare_emulator.guest.system import heap

START = """
import gc, os, sys, types
package = types.ModuleType("podflare_guest")
package.__path__ = [sys.argv[1]]
sys.modules["podflare_guest"] = package
from podflare_guest.system import heap
"""

# Nothing of what was there before is referenced afterwards, except what cannot be without.
FORGET = """
def forget():
    gc.unfreeze()
    for name, module in list(sys.modules.items()):
        if name not in ("sys", "builtins", "gc", "os", "_thread", "__main__"):
            del sys.modules[name]
            if isinstance(module, type(sys)):
                vars(module).clear()
    gc.collect()
"""

WORK = """
def work(rounds):
    held = []
    for number in range(rounds):
        held.append([{str(key): [key, (key,)]} for key in range(5_000 * (number % 4))])
        if number % 3 == 2:
            del held[number % len(held)]
    return sum(map(len, held))

def deep(levels):
    return levels and deep(levels - 1) + 1

def in_a_fork(call):
    child = os.fork()
    if child == 0:
        try:
            call()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


def run(script: str, **variables: str) -> subprocess.CompletedProcess[str]:
    directory = Path(podflare_emulator.guest.__file__).parent
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", START + script, directory],
        capture_output=True,
        text=True,
        env={**os.environ, **variables},
    )


@pytest.fixture
def uses_huge_pages() -> None:
    if run("print(heap.use_huge_pages(), flush=True); os._exit(0)").stdout != "True\n":
        assert not heap._can_gain()
        pytest.skip("this Python, C library or kernel gives its heap no huge pages")


@pytest.mark.usefixtures("uses_huge_pages")
@pytest.mark.parametrize("modules", ["", "import asyncio, http.client, json, unittest.mock"])
def test_nothing_that_was_mapped_before_is_freed(modules: str) -> None:
    done = run(
        modules
        + FORGET
        + WORK
        + """
assert heap.use_huge_pages()
gc.collect()
gc.freeze()
work(20)
in_a_fork(lambda: work(20))
in_a_fork(forget)
forget()
work(20)
sys.stdout.write("done")
sys.stdout.flush()
os._exit(0)
"""
    )
    assert (done.returncode, done.stdout) == (0, "done"), done.stderr


@pytest.mark.usefixtures("uses_huge_pages")
def test_threads_fork_and_deep_recursion_ends() -> None:
    done = run(
        WORK
        + """
import threading
assert heap.use_huge_pages()
sys.setrecursionlimit(20_000)
deep(5_000)
threads = [threading.Thread(target=in_a_fork, args=(lambda: (work(20), deep(900)),)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
deep(5_000)
sys.stdout.write("done")
sys.stdout.flush()
os._exit(0)
"""
    )
    assert (done.returncode, done.stdout) == (0, "done"), done.stderr


@pytest.mark.usefixtures("uses_huge_pages")
def test_an_arena_that_is_found_too_late_leaves_everything_as_it_was() -> None:
    done = run(
        """
counts = iter(range(10**6))
count = heap._arenas
heap._arenas = lambda: count() + (next(counts) >= 2)
print(heap.use_huge_pages())
"""
    )
    # This interpreter is finalized, which frees all that was mapped: with the other allocator it would abort.
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr


def test_an_interpreter_without_arenas_is_left_alone() -> None:
    done = run("print(heap.use_huge_pages())", PYTHONMALLOC="malloc")
    assert (done.returncode, done.stdout) == (0, "False\n"), done.stderr
