# Files found, counted, and removed.
mkdir -p /workspace/logs/old
for n in 1 2 3; do echo "line $n" > "/workspace/logs/day $n.log"; done
echo x > /workspace/logs/old/a.tmp
find /workspace -name '*.log' -print0 | sort -z | xargs -0 wc -l
find /workspace -name '*.tmp' -delete
find /workspace -type f | sort
du -a /workspace | wc -l
