"""A machine that allows no further process: what needs one fails, and everything else goes on."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil  # type: ignore[import-untyped, unused-ignore]
import pytest

from podflare import Client, Sandbox, ServerError

from ..matrix import SLOW
from .command import Command
from .conftest import Start

pytestmark = [
    SLOW,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux can limit another process"),
]


@pytest.fixture
def command(isolation: str, start: Start) -> Command:
    if isolation != "namespace" and os.getuid() == 0:
        pytest.skip("the kernel does not limit root's processes")
    return start()


@contextmanager
def no_more_processes(command: Command) -> Iterator[None]:
    """Inside, the keeper cannot start another."""
    (warden,) = psutil.Process(command.process.pid).children()
    (keeper,) = (child for child in warden.children() if child.name() != "podflare-router")
    soft, hard = resource.prlimit(keeper.pid, resource.RLIMIT_NPROC)
    resource.prlimit(keeper.pid, resource.RLIMIT_NPROC, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(keeper.pid, resource.RLIMIT_NPROC, (soft, hard))


def test_a_sandbox_with_files_is_removed_and_another_lives_on(command: Command) -> None:
    with Client(host=command.url) as client:
        living, ended = Sandbox(client=client), Sandbox(client=client)
        ended.run_code("mkdir -p /root/a/b; echo x > /root/a/b/c", "bash")
        with no_more_processes(command):
            ended.close()
            # Its size has to be limited, so the keeper makes its jail now, after it has removed the other.
            assert Sandbox(client=client, rootfs_gb=1).run_code("print('new')").stdout == "new"
        assert living.run_code("print('here')").stdout == "here"


def test_a_template_that_cannot_be_started_says_why(command: Command) -> None:
    with Client(host=command.url) as client:
        with no_more_processes(command), pytest.raises(ServerError, match="temporarily unavailable"):
            Sandbox(client=client, template="python-datasci")
        assert Sandbox(client=client).run_code("print('here')").stdout == "here"
