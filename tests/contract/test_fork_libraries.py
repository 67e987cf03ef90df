"""Libraries that keep threads of their own, used in the parent and then in a child.

A thread pool that os.fork has cut off makes its library wait for ever. The same computation in the parent is the
measure of what is slow: a child that takes far longer hangs.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as TookTooLong

import pytest

from podflare import Sandbox

from ..matrix import SLOW
from .printed import printed

Fork = Callable[..., list[Sandbox]]

_LEAST = 60  # seconds before anything is called a hang
_TIMES = 20  # as long as the parent took

LIBRARIES = {
    "numpy with BLAS": ("numpy", "import numpy as np; a = np.ones((700, 700))", "print((a @ a)[0, 0])"),
    "scikit-learn's KMeans": (
        "sklearn",
        "import numpy as np; from sklearn.cluster import KMeans; a = np.random.default_rng(0).random((3000, 8))",
        "print(KMeans(5, n_init=2, random_state=0).fit(a).cluster_centers_.shape)",
    ),
    "scikit-learn's HistGradientBoosting": (
        "sklearn",
        "import numpy as np; from sklearn.ensemble import HistGradientBoostingClassifier as Model; "
        "a = np.random.default_rng(0).random((3000, 8))",
        "print(Model(max_iter=10).fit(a, a[:, 0] > 0.5).predict(a[:3]).shape)",
    ),
    "pyarrow": (
        "pyarrow",
        "import pyarrow as pa, pyarrow.compute as pc; a = pa.table({'a': list(range(300_000))})",
        "print(a.group_by('a').aggregate([('a', 'sum')]).num_rows, pc.sum(a['a']))",
    ),
    "pyarrow's readers": (
        "pyarrow",
        "import pyarrow as pa, pyarrow.parquet as pq; pq.write_table(pa.table({'a': list(range(300_000))}), '/root/a')",
        "print(pq.read_table('/root/a', use_threads=True).num_rows)",
    ),
}


@SLOW
@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.filterwarnings("ignore::podflare.ThreadsLeftBehindWarning")
def test_what_worked_in_the_parent_works_in_a_child(sandbox: Sandbox, fork: Fork, library: str) -> None:
    module, prepare, compute = LIBRARIES[library]
    if sandbox.run_code(f"import {module}").exit_code:
        pytest.skip(f"{module} is not installed")
    printed(sandbox, prepare)
    began = time.monotonic()
    expected = printed(sandbox, compute)
    took = time.monotonic() - began
    for child in fork(sandbox, 2):
        assert _before(child, compute, max(_LEAST, _TIMES * took), took) == expected
    assert printed(sandbox, compute) == expected


def _before(child: Sandbox, code: str, limit: float, took: float) -> str:
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(printed, child, code)
        try:
            return running.result(limit)
        except TookTooLong:
            child.close()  # ends the thread too
            pytest.fail(f"it hangs in the child: {limit:.0f} s and no end; the parent took {took:.1f} s")
