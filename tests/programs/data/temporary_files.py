# Temporary files where they belong, gone when they are done with.
import os
import tempfile

with tempfile.TemporaryDirectory() as directory:
    print(os.path.dirname(directory))
    parts = []
    for number in range(3):
        with tempfile.NamedTemporaryFile("w", dir=directory, suffix=".part", delete=False) as part:
            part.write(f"part {number}\n")
            parts.append(part.name)
    with open("/root/merged.txt", "w") as merged:
        for part in parts:
            with open(part) as file:
                merged.write(file.read())
print(os.path.exists(directory), os.listdir("/tmp"))
print(open("/root/merged.txt").read(), end="")
with tempfile.TemporaryFile() as file:
    file.write(b"nobody sees this")
    file.seek(7)
    print(file.read())
