"""What `auto` takes, and that it is seen: without namespaces and Landlock, paths that escape are the developer's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from podflare_emulator import Emulator, EmulatorError
from podflare_emulator.guest.system import landlock
from podflare_emulator.hosting import isolation
from podflare_emulator.hosting.machine.disposable import disposable

from ..matrix import SLOW
from ..serving import serving

REFUSING = str(Path(__file__).parents[1] / "command" / "refusing.py")
_LANDLOCK = "landlock_create_ruleset"


@pytest.mark.parametrize("backend", ["preload", "portable"])
def test_it_leaves_out_what_nothing_keeps_from_your_files(
    monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setattr(isolation, "disposable", lambda: False)
    refusal = isolation.decline(backend)
    assert refusal is not None
    assert str(refusal).startswith(
        f"{backend} isolation is not chosen automatically: this kernel has no Landlock"
    )
    for way in ("--isolation {0}", "--podflare-isolation={0}", "Emulator(isolation='{0}')"):
        assert way.format(backend) in refusal.reason
    assert isolation.decline("namespace") is None


@pytest.mark.parametrize(("abi", "thrown_away"), [(7, False), (0, True)])
@pytest.mark.parametrize("backend", ["preload", "portable"])
def test_it_takes_them_with_landlock_or_where_nobody_minds(
    monkeypatch: pytest.MonkeyPatch, backend: str, abi: int, thrown_away: bool
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: abi)
    monkeypatch.setattr(isolation, "disposable", lambda: thrown_away)
    assert isolation.decline(backend) is None


@SLOW
def test_where_nothing_is_left_it_refuses_and_a_name_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "BACKENDS", ("portable",))
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setattr(isolation, "disposable", lambda: False)
    with pytest.raises(
        EmulatorError, match=r"portable isolation is not chosen automatically: .*--isolation portable"
    ):
        Emulator(server="thread").start()
    with Emulator(isolation="portable", server="thread") as emulator:
        assert emulator.describe_isolation() == "portable"


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("1", True), ("false", False), ("", False)])
def test_ci_is_a_place_where_nobody_minds(
    monkeypatch: pytest.MonkeyPatch, value: str, expected: bool
) -> None:
    for name in ("container", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CI", value)
    monkeypatch.setattr(os.path, "exists", lambda path: False)
    assert disposable() is expected


@SLOW
@pytest.mark.skipif(sys.platform != "linux", reason="the machine is made by seccomp")
def test_the_first_line_of_the_command_names_what_was_taken_and_what_a_better_one_lacks() -> None:
    words = [sys.executable, REFUSING, "EPERM", "unshare", "--", sys.executable, "-m", "podflare_emulator"]
    with subprocess.Popen(
        [*words, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "CI": "1", "PYTHONPATH": ":".join(filter(None, sys.path))},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
    assert re.match(
        r"Podflare emulator, isolation: (preload|portable) \(better ones are not available: "
        r"namespace: .*Operation not permitted.*\), listening on http://\S+\n",
        line,
    ), line


@SLOW
def test_what_was_asked_for_by_name_lacks_nothing() -> None:
    with serving("portable", pool_size=0) as emulator:
        assert emulator.describe_isolation() == "portable"
        assert emulator.describe().startswith("isolation: portable, fork: live, Python: 3.")
