# needs: pandas
# A table from a file, cleaned, grouped, written in three formats.
import pandas as pd

with open("/data/people.csv", "w") as file:
    file.write("name,team,age,joined\nAda,blue,36,2020-01-05\nGrace,red,,2021-03-02\nEdsger,blue,44,2019-11-30\n")
people = pd.read_csv("/data/people.csv", parse_dates=["joined"])
people["age"] = people["age"].fillna(people["age"].mean())
print(people.groupby("team")["age"].mean().to_dict())
print(people.sort_values("joined")["name"].tolist(), people["joined"].dt.year.max())
people.to_csv("/root/clean.csv", index=False)
people.to_json("/root/clean.json", orient="records", date_format="iso")
people.to_pickle("/root/clean.pkl")
print(pd.read_csv("/root/clean.csv").shape, len(pd.read_json("/root/clean.json")), len(pd.read_pickle("/root/clean.pkl")))
