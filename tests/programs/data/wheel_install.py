# needs: pip
# A wheel is built, installed by pip, and imported in the process that asked for it.
import subprocess
import sys
import zipfile

with zipfile.ZipFile("/tmp/greet-1.0-py3-none-any.whl", "w") as wheel:
    wheel.writestr("greet.py", "def hello(name):\n    return f'hello, {name}'\n")
    wheel.writestr("greet-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: greet\nVersion: 1.0\n")
    wheel.writestr("greet-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
    wheel.writestr("greet-1.0.dist-info/RECORD", "greet.py,,\ngreet-1.0.dist-info/RECORD,,\n")
pip = [sys.executable, "-m", "pip", "install", "--no-index", "--quiet", "/tmp/greet-1.0-py3-none-any.whl"]
print(subprocess.run(pip).returncode)
import greet
from importlib.metadata import version

print(greet.hello("wheel"), version("greet"))
