"""What a whole family takes: the seed's tree search, five children over a data frame of 100 MB.

What a child has not changed it shares with its parent, so the family takes little more than the parent did.
"""

from __future__ import annotations

from bench import Bench, Skipped, case
from cases.memory import settled_pss
from podflare import Sandbox

_FRAME = """
import numpy as np, pandas as pd
numbers = np.random.default_rng(0).random((100 * 2**20 // 80, 10))
df = pd.DataFrame(numbers, columns=[f"col_{c}" for c in "abcdefghij"])
"""

_PLANS = (
    "print(df['col_a'].mean())",
    "print(df['col_b'].mean())",
    "print(df[df.col_a > 0.999].shape)",
    "print(df['col_c'].max())",
    "print(df['col_d'].std())",
)


@case(seconds=120)
def fork_memory(bench: Bench) -> None:
    with Sandbox(client=bench.client) as parent:
        if parent.run_code("import pandas").exit_code:
            raise Skipped("pandas is not installed")
        _record(bench, "before the data frame")
        parent.run_code(_FRAME)
        _record(bench, "with a data frame of 100 MB")
        children = parent.fork(n=len(_PLANS))
        try:
            _record(bench, "and 5 children")
            for child, plan in zip(children, _PLANS, strict=True):
                if child.run_code(plan).exit_code:
                    raise RuntimeError(f"{plan} failed")
            _record(bench, "that have computed")
            children[0].run_code("df['col_a'] += 1")
            _record(bench, "one of which has changed a column of 10 MB")
            parent.merge_into(children[0])
            _record(bench, "and was merged into the parent")
        finally:
            for child in children:
                child.close()


def _record(bench: Bench, moment: str) -> None:
    bench.record(f"memory of a family {moment}", "MB", [settled_pss()])
