# A dictionary that lives in a file.
import shelve

with shelve.open("/root/shelf") as shelf:
    shelf["runs"] = [1, 2, 3]
    shelf["best"] = {"score": 0.93, "model": "tree"}
with shelve.open("/root/shelf") as shelf:
    shelf["runs"] = [*shelf["runs"], 4]
    print(sorted(shelf), shelf["runs"], shelf["best"]["model"])
