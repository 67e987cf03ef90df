"""A sandbox has the machine's processors, and what computes on all of them survives a fork."""

from __future__ import annotations

import os
import warnings

import pytest

from podflare import Sandbox, ThreadsLeftBehindWarning

from ..matrix import SLOW

SHOW = "nproc; python3 -c 'import os; print(os.cpu_count())'; echo ${OMP_NUM_THREADS-unset}"
FIT = "print(KMeans(5, n_init=2, random_state=0).fit(a).cluster_centers_.shape)"


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity"), reason="Linux tells which processors a process may use"
)
def test_programs_are_told_of_all_processors(machine: Sandbox) -> None:
    shown = machine.run_code(SHOW, language="bash").stdout.split()
    assert shown == [str(len(os.sched_getaffinity(0))), str(os.cpu_count()), "unset"]


@SLOW
def test_openmp_leaves_no_threads_behind(machine: Sandbox) -> None:
    if machine.run_code("import numpy as np; from sklearn.cluster import KMeans").exit_code:
        pytest.skip("scikit-learn is not installed")
    machine.run_code("a = np.random.default_rng(0).random((3000, 8))")
    for _ in range(2):
        assert machine.run_code(FIT).stdout == "(5, 8)"
        with warnings.catch_warnings():
            warnings.simplefilter("error", ThreadsLeftBehindWarning)
            (child,) = machine.fork(1)
        with child:
            assert child.run_code(FIT).stdout == "(5, 8)"
