# needs: pip
# A wheel with a program in it.
set -e
mkdir -p /tmp/wheel/shout-1.0.dist-info && cd /tmp/wheel
echo 'def main(): print("SHOUTED")' > shout.py
printf 'Metadata-Version: 2.1\nName: shout\nVersion: 1.0\n' > shout-1.0.dist-info/METADATA
printf 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n' > shout-1.0.dist-info/WHEEL
printf '[console_scripts]\nshout = shout:main\n' > shout-1.0.dist-info/entry_points.txt
printf 'shout.py,,\nshout-1.0.dist-info/RECORD,,\n' > shout-1.0.dist-info/RECORD
python3 -m zipfile -c /root/shout-1.0-py3-none-any.whl shout.py shout-1.0.dist-info
pip install --no-index --quiet /root/shout-1.0-py3-none-any.whl
shout
python3 -c 'import shout; shout.main()'
