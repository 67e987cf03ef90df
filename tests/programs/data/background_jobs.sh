# Jobs side by side, and how they ended.
for n in 1 2 3; do
    (echo "job $n" > /tmp/job.$n; exit $((n - 1))) &
    pids[n]=$!
done
for n in 1 2 3; do
    wait "${pids[n]}"
    echo "job $n ended with $?"
done
cat /tmp/job.1 /tmp/job.2 /tmp/job.3
mkfifo /tmp/pipe
echo "through a pipe" > /tmp/pipe &
cat /tmp/pipe
