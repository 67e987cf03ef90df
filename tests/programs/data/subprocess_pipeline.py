# Programs in a pipeline, fed and read by Python.
import subprocess

with open("/data/words.txt", "w") as file:
    file.write("pear\napple\nfig\napple\npear\napple\n")
sort = subprocess.Popen(["sort", "words.txt"], cwd="/data", stdout=subprocess.PIPE)
count = subprocess.Popen(["uniq", "-c"], stdin=sort.stdout, stdout=subprocess.PIPE, text=True)
sort.stdout.close()
out, _ = count.communicate()
for line in out.splitlines():
    print(*line.split())
print(sort.wait(), count.returncode)

upper = subprocess.run(["tr", "a-z", "A-Z"], input="through a program\n", capture_output=True, text=True, check=True)
print(upper.stdout, end="")
failed = subprocess.run("ls /data/nothing", shell=True, capture_output=True, text=True)
print(failed.returncode != 0, "/data/nothing" in failed.stderr)
try:
    subprocess.run(["sleep", "60"], timeout=0.05)
except subprocess.TimeoutExpired as error:
    print(type(error).__name__)
