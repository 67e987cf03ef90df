# needs: pandas
# A database read into a table, pivoted, and written back.
import sqlite3

import pandas as pd

sales = pd.DataFrame(
    {"shop": ["a", "b", "a", "b", "a"], "quarter": [1, 1, 2, 2, 2], "amount": [10, 20, 30, 40, 50]}
)
with sqlite3.connect("/root/sales.db") as connection:
    sales.to_sql("sales", connection, index=False)
    table = pd.read_sql("select * from sales where amount > 10", connection)
    pivot = table.pivot_table(index="shop", columns="quarter", values="amount", aggfunc="sum", fill_value=0)
    pivot.to_sql("pivot", connection)
    print(connection.execute("select name from sqlite_master order by name").fetchall())
print(pivot.astype(int).to_dict("index"))
