# Python from bash: a here-document, an argument, a module, a script of its own.
echo '{"b": 1, "a": [2, 3]}' > /root/data.json
python3 - <<'PY'
import json
data = json.load(open("/root/data.json"))
data["sum"] = sum(data["a"])
json.dump(data, open("/root/out.json", "w"))
PY
python3 -m json.tool --sort-keys --compact /root/out.json
python3 -c 'import sys; print(sys.argv[1:], open("/root/out.json").read())' one two
cat > /root/double.py <<'PY'
#!/usr/bin/env python3
import sys
for line in sys.stdin:
    print(int(line) * 2)
PY
chmod +x /root/double.py
seq 3 | /root/double.py
