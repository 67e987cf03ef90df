#!/bin/sh
# Files, forks, terminals and control calls with curl; $1 is the emulator's URL. Needs curl, base64 and sed.
set -eu

post() { curl -sS --fail-with-body -H "Content-Type: application/json" -d "$2" "$1"; }
field() { sed -n 's/.*"'"$1"'":"\([^"]*\)".*/\1/p'; } # of one line of JSON

sandboxes=$1/v1/sandboxes
box=$sandboxes/$(post "$sandboxes" '{}' | field id)

# Upload: the API has no call for it, so it is an exec that writes what travels in its code. Clients do the same.
data=$(printf 'day,price\n1,9.5\n' | base64)
code="import base64; open('/root/prices.csv', 'wb').write(base64.b64decode('$data'))"
post "$box/exec" "{\"code\": \"$code\"}" > /dev/null

# Download: an exec that prints it.
post "$box/exec" '{"language": "bash", "code": "base64 -w0 /root/prices.csv"}' | field data | head -n 1 | base64 -d

# Diff: the same listing of both, compared here.
child=$sandboxes/$(post "$box/fork" '{"n": 1}' | sed 's/.*"\(sbx_[0-9a-f]*\)".*/\1/')
post "$child/exec" '{"language": "bash", "code": "echo 2,9.7 >> /root/prices.csv; touch /root/new.txt"}' > /dev/null
list() { post "$1/exec" '{"language": "bash", "code": "find /root /tmp -type f -exec sha256sum {} +"}' | field data | sort; }
before=$(mktemp) after=$(mktemp)
list "$box" > "$before"
list "$child" > "$after"
diff "$before" "$after" | sed -n 's/^> [0-9a-f]*  /changed: /p'
rm "$before" "$after"

# A terminal: a stream that goes on until the program ends. -N: as it comes.
stream=$(mktemp)
curl -sSN -H "Content-Type: application/json" -d '{"shellCmd": "read name; echo hello $name"}' "$box/pty" > "$stream" &
until grep -q pty_ready "$stream"; do sleep 0.02; done
terminal=$box/pty/$(head -n 1 "$stream" | field session_id)
post "$terminal/input" "{\"data_b64\": \"$(printf 'Ada\r' | base64)\"}"
wait $!
field data_b64 < "$stream" | while read -r piece; do printf %s "$piece" | base64 -d; done
rm "$stream"

# What the test's author asks: here for what has happened to the sandboxes.
printf '%b\n' "$(post "$1/_emulator/tree" '{}' | field text)"
post "$1/_emulator/reset" '{}' > /dev/null
