# Events as JSON lines, filtered and counted; a summary beside them.
import json
import os
from collections import Counter

os.makedirs("/data/events", exist_ok=True)
events = [{"user": f"u{n % 3}", "kind": "click" if n % 2 else "view", "ms": n * 7} for n in range(12)]
with open("/data/events/today.jsonl", "w") as file:
    for event in events:
        file.write(json.dumps(event) + "\n")

with open("/data/events/today.jsonl") as file:
    clicks = [event for event in map(json.loads, file) if event["kind"] == "click"]
summary = {"clicks": dict(sorted(Counter(event["user"] for event in clicks).items())), "slowest": max(e["ms"] for e in clicks)}
with open("/data/events/summary.json", "w") as file:
    json.dump(summary, file, indent=2)
print(open("/data/events/summary.json").read())
print(sorted(os.listdir("/data/events")))
