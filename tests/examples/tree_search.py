# mypy: disable-error-code="no-untyped-def"
"""Load a dataset once, fork five children, let each try a plan, and commit the best.

Run a server that has the dataset at /data, and point the program at it:

    podflare-emulator --mount ./data:/data &
    PODFLARE_HOST=http://127.0.0.1:7070 python tree_search.py
"""

from podflare import Sandbox


def pick_best_index(results):
    # Your scoring logic here
    return max(range(len(results)), key=lambda i: results[i].exit_code == 0)


with Sandbox() as parent:
    parent.run_code("""
        import pandas as pd
        df = pd.read_csv('/data/medium.csv')
    """)

    plans = [
        "print(df['col_a'].mean())",
        "print(df['col_b'].mean())",
        "print(df[df.col_a > 0].shape)",
        "print(df.describe().loc['mean'])",
        "print(df.corr().iloc[0])",
    ]

    children = parent.fork(n=len(plans))
    try:
        results = [c.run_code(p) for c, p in zip(children, plans)]  # noqa: B905
        winner = children[pick_best_index(results)]
        parent.merge_into(winner)
    finally:
        for c in children:
            c.close()
