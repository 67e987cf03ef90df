"""The libraries of data analysis read and write the sandbox's files."""

from __future__ import annotations

import textwrap
from importlib.util import find_spec

import pytest

from ....matrix import SLOW
from .conftest import Sandbox

SCENARIOS = {
    ("numpy",): """
        import numpy as np
        values = np.arange(6.0).reshape(2, 3)
        np.save("/data/a.npy", values); assert (np.load("/data/a.npy") == values).all()
        np.savez("/root/a.npz", x=values); assert (np.load("/root/a.npz")["x"] == values).all()
        np.savetxt("/root/a.txt", values); assert (np.loadtxt("/root/a.txt") == values).all()
        values.tofile("/tmp/a.bin"); assert (np.fromfile("/tmp/a.bin") == values.ravel()).all()
        mapped = np.memmap("/data/mapped", dtype="f8", mode="w+", shape=(3,)); mapped[:] = 1; mapped.flush()
        assert np.load("/data/a.npy", mmap_mode="r").sum() == 15
    """,
    ("pandas",): """
        import pandas as pd
        frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
        for kind in ("csv", "csv.gz", "csv.zip"):
            frame.to_csv(f"/data/f.{kind}", index=False); assert pd.read_csv(f"/data/f.{kind}").equals(frame)
        frame.to_json("/root/f.json"); assert pd.read_json("/root/f.json")["a"].tolist() == [1, 2]
        frame.to_pickle("/root/f.pkl"); assert pd.read_pickle("/root/f.pkl").equals(frame)
        try: pd.read_csv("/data/none.csv")
        except FileNotFoundError as error: assert error.filename == "/data/none.csv"
        import sqlite3
        frame.to_sql("t", sqlite3.connect("/data/f.db"), index=False)
        assert pd.read_sql("select * from t", sqlite3.connect("/data/f.db")).equals(frame)
    """,
    ("pandas", "pyarrow"): """
        import pandas as pd, pyarrow.parquet as parquet, pyarrow.csv
        frame = pd.DataFrame({"a": [1, 2], "b": [1.5, 2.5]})
        frame.to_parquet("/data/f.parquet"); assert pd.read_parquet("/data/f.parquet").equals(frame)
        frame.to_feather("/root/f.feather"); assert pd.read_feather("/root/f.feather").equals(frame)
        table = parquet.read_table("/data/f.parquet"); parquet.write_table(table, "/root/g.parquet")
        assert parquet.ParquetFile("/root/g.parquet").metadata.num_rows == 2
        frame.to_parquet("/data/parts", partition_cols=["a"]); assert len(pd.read_parquet("/data/parts")) == 2
    """,
    ("pandas", "openpyxl"): """
        import pandas as pd
        frame = pd.DataFrame({"a": [1, 2]})
        frame.to_excel("/root/f.xlsx", index=False); assert pd.read_excel("/root/f.xlsx").equals(frame)
    """,
    ("PIL",): """
        from PIL import Image
        Image.new("RGB", (2, 2), "red").save("/root/i.png")
        with Image.open("/root/i.png") as image: assert image.size == (2, 2)
    """,
    ("matplotlib",): """
        import matplotlib; matplotlib.use("Agg")
        import matplotlib.pyplot as plot
        plot.plot([1, 2]); plot.savefig("/root/p.png"); plot.savefig("/data/p.pdf"); plot.savefig("/data/p.svg")
        assert open("/root/p.png", "rb").read(4) == b"\\x89PNG"
        assert plot.imread("/root/p.png").ndim == 3
    """,
}


@SLOW
@pytest.mark.parametrize("libraries", SCENARIOS, ids=" and ".join)
def test_a_library_reads_and_writes_the_sandboxs_files(sandbox: Sandbox, libraries: tuple[str, ...]) -> None:
    for library in libraries:
        if find_spec(library) is None:
            pytest.skip(f"{library} is not installed")
    assert sandbox.python(textwrap.dedent(SCENARIOS[libraries])) == ""


@SLOW
def test_libraries_that_were_imported_before_are_mapped_too(sandbox: Sandbox) -> None:
    """A zygote imports what its template preloads; its guests are mapped afterwards."""
    if find_spec("pandas") is None:
        pytest.skip("pandas is not installed")
    code = "import pandas as pd; pd.DataFrame({'a': [1]}).to_csv('/data/f.csv'); print(open('/data/f.csv').read())"
    assert (
        sandbox.python(code, preload="pandas, sqlite3, subprocess, tempfile, pathlib, glob, shutil")
        == ",a\n0,1\n\n"
    )
