# needs: matplotlib
# A chart as a picture and as a document.
import os

import matplotlib.pyplot as plt

figure, axes = plt.subplots(figsize=(4, 3))
axes.plot([1, 2, 3], [2, 4, 8], marker="o", label="growth")
axes.set_title("Growth")
axes.legend()
os.makedirs("/root/plots", exist_ok=True)
figure.savefig("/root/plots/growth.png", dpi=50)
figure.savefig("/root/plots/growth.svg")
plt.close(figure)
with open("/root/plots/growth.png", "rb") as file:
    header = file.read(24)
print(header[:8] == b"\x89PNG\r\n\x1a\n", int.from_bytes(header[16:20], "big"), int.from_bytes(header[20:24], "big"))
print("</svg>" in open("/root/plots/growth.svg").read())
