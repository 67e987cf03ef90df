# A file cut in pieces, checked, and put together.
set -e
seq 1 1000 > /data/numbers.txt
cd /data
split -l 300 -d numbers.txt piece.
wc -l piece.* | awk '{ print $1, $2 }'
sha256sum piece.* > /root/sums
sha256sum --quiet -c /root/sums && echo intact
cat piece.* | cmp - numbers.txt && echo identical
gzip -k numbers.txt && zcat numbers.txt.gz | tail -n 1
{ echo "a problem" > /dev/stderr; } 2> /root/err; echo "and more" | tee /dev/stdout > /root/out; cat /root/err /root/out
