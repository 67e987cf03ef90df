# A database on disk: schema, rows, a join with a window function, and a second connection.
import os
import sqlite3

connection = sqlite3.connect("/root/shop.db")
connection.executescript("""
create table customer (id integer primary key, name text not null);
create table purchase (id integer primary key, customer integer references customer, amount real, day text);
""")
connection.executemany("insert into customer values (?, ?)", [(1, "Ada"), (2, "Grace"), (3, "Edsger")])
connection.executemany(
    "insert into purchase (customer, amount, day) values (?, ?, ?)",
    [(1, 30.0, "2024-03-01"), (2, 12.5, "2024-03-01"), (1, 5.0, "2024-03-04"), (2, 99.0, "2024-03-09")],
)
connection.commit()

with sqlite3.connect("file:/root/shop.db?mode=ro", uri=True) as reader:
    query = """
    select name, day, amount, sum(amount) over (partition by customer order by day) as running
    from purchase join customer on customer.id = purchase.customer order by name, day
    """
    for row in reader.execute(query):
        print(*row, sep="\t")
print(connection.execute("select count(*) from customer where id not in (select customer from purchase)").fetchone())
connection.close()
print(os.path.getsize("/root/shop.db") > 0, os.path.exists("/root/shop.db-journal"))
