# Memory that two processes share by its name.
import os
import subprocess
import sys
from multiprocessing import shared_memory

name = f"numbers-{os.getpid()}"  # where the machine's /dev/shm is shared, so are names
block = shared_memory.SharedMemory(name=name, create=True, size=16)
block.buf[:4] = bytes([1, 2, 3, 4])
child = """
import sys
from multiprocessing import resource_tracker, shared_memory
block = shared_memory.SharedMemory(name=sys.argv[1])
resource_tracker.unregister(block._name, "shared_memory")
block.buf[4] = sum(block.buf[:4])
block.close()
"""
subprocess.run([sys.executable, "-c", child, name], check=True)
print(block.buf[4])
block.close()
block.unlink()
