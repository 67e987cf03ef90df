# Tar files and the three compressions.
import bz2
import gzip
import lzma
import os
import tarfile

text = "".join(f"line {n}\n" for n in range(2000))
for module, suffix in ((gzip, "gz"), (bz2, "bz2"), (lzma, "xz")):
    path = f"/root/log.{suffix}"
    with module.open(path, "wt") as file:
        file.write(text)
    with module.open(path, "rt") as file:
        print(suffix, file.read() == text, os.path.getsize(path) < len(text) / 4)

with tarfile.open("/tmp/logs.tar.gz", "w:gz") as archive:
    for suffix in ("gz", "xz"):
        archive.add(f"/root/log.{suffix}", arcname=f"logs/log.{suffix}")
with tarfile.open("/tmp/logs.tar.gz") as archive:
    print(archive.getnames())
    archive.extractall("/data")
print(sorted(os.listdir("/data/logs")))
