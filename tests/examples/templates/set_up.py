import csv
from decimal import Decimal

with open("/data/prices.csv") as file:
    prices = [Decimal(row["price"]) for row in csv.DictReader(file)]
