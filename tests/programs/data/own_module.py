# A package that is written, imported, changed, and imported again.
import importlib
import os
import sys

os.makedirs("/root/lib/metrics", exist_ok=True)
with open("/root/lib/metrics/__init__.py", "w") as file:
    file.write("from .mean import mean\n")
with open("/root/lib/metrics/mean.py", "w") as file:
    file.write("def mean(values):\n    return sum(values) / len(values)\n")
sys.path.insert(0, "/root/lib")
import metrics

print(metrics.mean([1, 2, 6]), metrics.__file__)
with open("/root/lib/metrics/mean.py", "w") as file:
    file.write("def mean(values):\n    values = sorted(values)\n    return values[len(values) // 2]  # the median, in truth\n")
importlib.reload(importlib.import_module("metrics.mean"))
importlib.reload(metrics)
print(metrics.mean([1, 2, 6]))
