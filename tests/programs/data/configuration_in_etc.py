# A program's configuration where programs have it.
import configparser
import os

os.makedirs("/etc/analysis", exist_ok=True)
config = configparser.ConfigParser()
config["paths"] = {"input": "/data/in", "output": "/data/out"}
config["run"] = {"workers": "2", "verbose": "yes"}
with open("/etc/analysis/config.ini", "w") as file:
    config.write(file)

again = configparser.ConfigParser()
print(again.read(["/etc/missing.ini", "/etc/analysis/config.ini"]))
print(again["paths"]["output"], again.getint("run", "workers"), again.getboolean("run", "verbose"))
