# A script is written, run as a child with arguments and an environment, and its result read from a file.
import json
import os
import subprocess
import sys

script = '''
import json, os, sys
numbers = [float(word) for word in sys.argv[2:]]
with open(sys.argv[1], "w") as file:
    json.dump({"mean": sum(numbers) / len(numbers), "unit": os.environ["UNIT"], "cwd": os.getcwd()}, file)
print("wrote", sys.argv[1])
'''
with open("/root/mean.py", "w") as file:
    file.write(script)
done = subprocess.run(
    [sys.executable, "/root/mean.py", "/root/mean.json", "1", "2", "6"],
    env={**os.environ, "UNIT": "kg"},
    cwd="/tmp",
    capture_output=True,
    text=True,
)
print(done.returncode, done.stdout.strip(), done.stderr)
print(json.load(open("/root/mean.json")))
