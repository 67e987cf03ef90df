# What went wrong, from a server's log.
import re
from collections import Counter
from datetime import datetime

lines = [
    f'10.0.0.{n % 4} - - [05/Mar/2024:10:{n:02d}:00 +0000] "GET /page/{n % 5} HTTP/1.1" {(200, 404, 500)[n % 3]} {n * 100}'
    for n in range(30)
]
with open("/var/log/access.log", "w") as file:
    file.write("\n".join(lines))
pattern = re.compile(r'(?P<ip>\S+) .* \[(?P<time>[^]]+)\] "(?P<method>\S+) (?P<path>\S+) [^"]*" (?P<status>\d+) (?P<size>\d+)')
hits = [match.groupdict() for line in open("/var/log/access.log") if (match := pattern.match(line))]
print(len(hits), sorted(Counter(hit["status"] for hit in hits).items()))
print(Counter(hit["path"] for hit in hits if hit["status"] == "500").most_common(2))
times = [datetime.strptime(hit["time"], "%d/%b/%Y:%H:%M:%S %z") for hit in hits]
print((max(times) - min(times)).total_seconds(), sum(int(hit["size"]) for hit in hits))
