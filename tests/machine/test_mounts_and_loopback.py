"""What a program may mount, and the loopback of IPv6, on every backend."""

from __future__ import annotations

import os
import socket

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator


def test_a_file_system_cannot_be_mounted(machine_emulator: Emulator, machine: Sandbox) -> None:
    if machine_emulator.isolation != "namespace" and os.getuid() == 0:
        pytest.skip("root's own emulator: what it may do to the machine, its sandboxes may, but for Landlock")
    result = machine.run_code(
        "mkdir /root/m; mount -t tmpfs none /root/m; grep -c root/m /proc/mounts", "bash"
    )
    assert (result.stdout, result.exit_code) == ("0", 1)
    assert result.stderr.startswith("mount: ")


def test_ipv6_has_a_loopback(machine: Sandbox) -> None:
    try:
        with socket.socket(socket.AF_INET6) as own:
            own.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6")
    code = """
import socket
with socket.socket(socket.AF_INET6) as server, socket.socket(socket.AF_INET6) as client:
    server.bind(("::1", 0))
    server.listen()
    client.connect(server.getsockname()[:2])
    print(server.accept()[1][0])
"""
    result = machine.run_code(code)
    assert (result.stdout, result.stderr) == ("::1", "")
