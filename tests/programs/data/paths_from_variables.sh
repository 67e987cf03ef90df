# Paths that are put together while the script runs.
for directory in data workspace; do
    mkdir -p "/$directory/in"
    echo "from $directory" > /$directory/in/file.txt
done
base=/
cat "${base}data/in/file.txt" "$base"workspace/in/*.txt
target=$(printf '/%s/copy' tmp)
cp -r /data/in "$target"
ls "$target"
eval "echo evaluated > /ro""ot/evaluated; cat /root/evaluated"
