# needs: numpy
# Arrays through files of every kind that numpy writes itself.
import numpy as np

a = np.arange(12, dtype=np.float64).reshape(3, 4)
np.save("/root/a.npy", a)
np.savez_compressed("/data/both.npz", a=a, squares=a**2)
np.savetxt("/tmp/a.txt", a, fmt="%.1f", delimiter=",")
a.tofile("/root/a.bin")
print(np.array_equal(np.load("/root/a.npy"), a), np.load("/root/a.npy", mmap_mode="r")[2, 3])
with np.load("/data/both.npz") as both:
    print(sorted(both.files), both["squares"].sum())
print(open("/tmp/a.txt").readline().strip(), np.loadtxt("/tmp/a.txt", delimiter=",").mean())
print(np.fromfile("/root/a.bin").size)
print(np.linalg.solve(np.array([[3.0, 1.0], [1.0, 2.0]]), np.array([9.0, 8.0])))
