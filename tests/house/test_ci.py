"""`.ci/run` ends in time: the steps after the tests begin only if they will."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

_RUN = Path(__file__).parents[2] / ".ci" / "run"

pytestmark = pytest.mark.skipif(not _RUN.exists(), reason="a distribution has no .ci")


@pytest.mark.parametrize(
    ("seconds", "tests_took", "begins"),
    [
        (1200, 1000, True),
        (1700, 1000, True),  # ends after 1780
        (1700, 1500, False),  # on a slow machine after 1820
        (1800, 1, False),
        (9999, 0, True),  # a run of chosen steps, without the tests
    ],
)
def test_a_step_begins_if_it_will_end_in_time(seconds: int, tests_took: int, begins: bool) -> None:
    [in_time] = re.findall(r"^in_time\(\).*?^}", _RUN.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    program = f"{in_time}\nSECONDS={seconds} tests_took={tests_took}\nin_time 8"
    ended = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert (ended.returncode == 0, ended.stdout == "") == (begins, begins)
    assert ended.stderr == ""
