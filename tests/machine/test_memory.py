"""How much memory a sandbox with `ram_mib` says that there is."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator


def kilobytes(sandbox: Sandbox, name: str) -> int:
    """What /proc/meminfo says of `name` in there."""
    return int(sandbox.run_code(f"awk '/^{name}:/ {{ print $2 }}' /proc/meminfo", "bash").stdout)


def test_meminfo_is_true_to_the_order(machine_emulator: Emulator, request: pytest.FixtureRequest) -> None:
    if machine_emulator.isolation != "namespace":
        reason = "nothing can be laid over the machine's /proc"
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))
    with Sandbox(host=machine_emulator.url, ram_mib=300) as sandbox:
        assert kilobytes(sandbox, "MemTotal") == 300 * 1024


def test_what_is_used_is_what_its_processes_have(namespace_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = namespace_sandbox(ram_mib=400)
    assert 300 * 1024 < kilobytes(sandbox, "MemAvailable") <= 400 * 1024
    code = """
kept = b"x" * (200 << 20)
while True:
    values = dict(line.split()[:2] for line in open("/proc/meminfo"))
    if int(values["MemAvailable:"]) < 200 * 1024:
        break
"""
    assert sandbox.run_code(code).exit_code == 0
    told = sandbox.run_code("import os; print(open('/proc/meminfo').read())").stdout
    assert "SwapTotal:             0 kB" in told
    assert all(len(line.split()) in (2, 3) for line in told.splitlines())


def test_it_cannot_be_changed(namespace_sandbox: Callable[..., Sandbox]) -> None:
    sandbox = namespace_sandbox(ram_mib=300)
    code = "chmod u+w /proc/meminfo; echo x > /proc/meminfo; umount /proc/meminfo; head -n1 /proc/meminfo"
    assert sandbox.run_code(code, "bash").stdout.split() == ["MemTotal:", str(300 * 1024), "kB"]


def test_without_an_order_it_is_the_machines(namespace_sandbox: Callable[..., Sandbox]) -> None:
    with open("/proc/meminfo", encoding="ascii") as file:
        assert kilobytes(namespace_sandbox(), "MemTotal") == int(file.readline().split()[1])
