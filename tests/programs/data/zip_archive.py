# A tree goes into an archive and comes out elsewhere, byte for byte.
import hashlib
import os
import shutil
import zipfile


def inventory(root):
    for directory, _, files in sorted(os.walk(root)):
        for name in sorted(files):
            path = os.path.join(directory, name)
            with open(path, "rb") as file:
                yield os.path.relpath(path, root), hashlib.md5(file.read()).hexdigest()


for name in ("a/one.txt", "a/b/two.txt", "three.bin"):
    os.makedirs(os.path.dirname(f"/data/raw/{name}"), exist_ok=True)
    with open(f"/data/raw/{name}", "wb") as file:
        file.write(name.encode() * 1000)

archive = shutil.make_archive("/tmp/raw", "zip", "/data/raw")
print(archive, zipfile.is_zipfile(archive))
with zipfile.ZipFile(archive) as file:
    print(sorted(name for name in file.namelist() if not name.endswith("/")))
    file.extractall("/workspace/raw")
print(list(inventory("/data/raw")) == list(inventory("/workspace/raw")))
