# A file of a few MB, searched and changed in place.
import mmap
import os

with open("/data/big.bin", "wb") as file:
    file.write(os.urandom(8) * 0 + b"." * 3_000_000 + b"needle" + b"." * 1_000_000)
with open("/data/big.bin", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
    position = mapped.find(b"needle")
    print(len(mapped), position)
    mapped[position : position + 6] = b"NEEDLE"
    mapped.flush()
with open("/data/big.bin", "rb") as file:
    file.seek(3_000_000)
    print(file.read(6), os.fstat(file.fileno()).st_size)
