# Totals by region from a CSV file, written as another.
import csv
from collections import defaultdict

rows = [("north", "2024-01", 120.5), ("south", "2024-01", 80.25), ("north", "2024-02", 99.5), ("west", "2024-02", 10)]
with open("/root/sales.csv", "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(["region", "month", "amount"])
    writer.writerows(rows)

totals = defaultdict(float)
with open("/root/sales.csv", newline="") as file:
    for row in csv.DictReader(file):
        totals[row["region"]] += float(row["amount"])

with open("/root/totals.csv", "w", newline="") as file:
    writer = csv.DictWriter(file, ["region", "total"])
    writer.writeheader()
    for region in sorted(totals, key=totals.get, reverse=True):
        writer.writerow({"region": region, "total": f"{totals[region]:.2f}"})
print(open("/root/totals.csv").read())
