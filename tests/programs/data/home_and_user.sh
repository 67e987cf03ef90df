# Where and who it runs as.
pwd
echo "$HOME" ~
cd /tmp && pwd && cd - > /dev/null && pwd
cd && echo text > relative.txt && cat ~/relative.txt "$HOME/relative.txt" /root/relative.txt
whoami
id -u
file=$(mktemp) && echo temporary > "$file" && cat "$file" && dirname "$file"
