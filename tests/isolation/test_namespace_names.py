"""Names are looked up with the machine's resolver, by a sandbox with a network of its own; nothing it sends is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from podflare_emulator.guest.order import PROGRAMS

from ..matrix import SLOW
from ..other_users import ROOTLESS, imports, prepared

# In a network in which only this program is: its resolver is at an address of loopback, as systemd's is.
PROGRAM = """
import os, socket, struct, sys, threading
import psutil
from podflare import Sandbox
from podflare_emulator import Emulator
from podflare_emulator.guest.system import network
from podflare_emulator.hosting import warden

warden.PROGRAMS = (sys.argv[1],)
network.raise_loopback()
tap = network.make_way_out()  # pasta wants a default route
asked = []
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.53", 53))

def answer():
    while True:
        query, client = server.recvfrom(512)
        end = query.index(b"\\0", 12) + 5
        kind = int.from_bytes(query[end - 4:end - 2], "big")
        asked.append({1: "A", 28: "AAAA"}[kind])
        found = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton("192.0.2.7")) if kind == 1 else b""
        head = query[:2] + struct.pack("!HHHHH", 0x8180, 1, bool(found), 0, 0)
        server.sendto(head + query[12:end] + found, client)

threading.Thread(target=answer, daemon=True).start()
look = "import socket; print(socket.getaddrinfo('name.test', 80, type=socket.SOCK_STREAM)[0][4])"
with Emulator(isolation="namespace", network="private", server="thread") as emulator:
    for _ in range(5):
        with Sandbox(host=emulator.url) as sandbox:
            for _ in range(2):
                print(sandbox.run_code(look).stdout, *sorted(asked))
                asked.clear()
                for process in psutil.Process().children(recursive=True):
                    if [os.path.basename(word) for word in process.cmdline()[:1]] == [sys.argv[1]]:
                        process.kill()
                        process.wait()
"""


@SLOW
@pytest.mark.parametrize("program", PROGRAMS)
def test_each_question_arrives_once(tmp_path: Path, program: str) -> None:
    if not shutil.which(program):
        pytest.skip(f"{program} is not installed")
    if not os.access("/dev/net/tun", os.W_OK):
        pytest.skip("/dev/net/tun may not be opened")
    settings = tmp_path / "resolv.conf"
    settings.write_text("nameserver 127.0.0.53\n")
    options = ["--net"] if os.getuid() == 0 else [*ROOTLESS, "--net"]
    done = subprocess.run(
        [
            *prepared(f"mount --bind {settings} /etc/resolv.conf", *options),
            *(sys.executable, "-c", PROGRAM, program),
        ],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(imports())},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "('192.0.2.7', 80) A AAAA\n" * 10, done.stderr
