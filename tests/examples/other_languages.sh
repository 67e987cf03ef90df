#!/bin/sh
# Drives the emulator with nothing but curl, as a test in any language may.
set -eu

directory=$(mktemp -d)
mkfifo "$directory/output"
podflare-emulator --port 0 > "$directory/output" &
trap 'kill $!; wait; rm -r "$directory"' EXIT
exec 3< "$directory/output"
read -r first <&3 # it holds the URL, and comes when the emulator serves
url=${first##* }

post() { curl -sS -H "Content-Type: application/json" -d "$2" "$url$1"; echo; }

# Arrange: a file for every sandbox, and an answer to what cannot run offline.
post /_emulator/add_files '{"files": [{"path": "/data/greeting", "base64": "aGVsbG8="}]}'
post /_emulator/add_stub '{"pattern": "pip install", "language": "bash", "stdout": "Done"}'

# Act: the program under test would do this.
sandbox=$(post /v1/sandboxes '{}' | grep -o 'sbx_[0-9a-f]*')
post "/v1/sandboxes/$sandbox/exec" '{"code": "print(open(\"/data/greeting\").read())"}'
post "/v1/sandboxes/$sandbox/exec" '{"code": "pip install prophet", "language": "bash"}'

# Assert: what has happened? Then make it clean for the next test.
post /_emulator/execs '{}'
post /_emulator/reset '{}'
