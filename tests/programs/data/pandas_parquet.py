# needs: pandas pyarrow
# A partitioned data set, written and read in part.
import os

import pandas as pd

frame = pd.DataFrame({"year": [2022, 2022, 2023], "city": ["Oslo", "Rome", "Oslo"], "degrees": [4.5, 15.2, 5.1]})
frame.to_parquet("/data/weather.parquet")
frame.to_parquet("/data/by_year", partition_cols=["year"])
print(pd.read_parquet("/data/weather.parquet", columns=["city"])["city"].tolist())
print(sorted(os.listdir("/data/by_year")))
print(pd.read_parquet("/data/by_year", filters=[("year", "=", 2023)])["degrees"].tolist())
