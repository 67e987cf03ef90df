# A backup, and what is restored from it.
set -e
mkdir -p ~/project/src && cd ~/project
echo 'print(1)' > src/main.py
echo notes > README
tar -czf /tmp/backup.tgz -C ~ project
tar -tzf /tmp/backup.tgz | sort
mkdir /data/restored
tar -xzf /tmp/backup.tgz -C /data/restored
diff -r ~/project /data/restored/project && echo identical
