# Memory that two processes share by its name.
import subprocess
import sys
from multiprocessing import shared_memory

block = shared_memory.SharedMemory(name="numbers", create=True, size=16)
block.buf[:4] = bytes([1, 2, 3, 4])
child = """
from multiprocessing import resource_tracker, shared_memory
block = shared_memory.SharedMemory(name="numbers")
resource_tracker.unregister(block._name, "shared_memory")
block.buf[4] = sum(block.buf[:4])
block.close()
"""
subprocess.run([sys.executable, "-c", child], check=True)
print(block.buf[4])
block.close()
block.unlink()
