# A script is written, made executable, sourced and run.
mkdir -p /root/bin
cat > /root/bin/greet <<'SH'
#!/bin/bash
greeting=${GREETING:-hello}
for name in "$@"; do echo "$greeting, $name" >> /root/greetings.txt; done
SH
chmod +x /root/bin/greet
PATH=$PATH:/root/bin
greet Ada
GREETING=hi /root/bin/greet 'Grace Hopper'
cd /root/bin && ./greet Edsger
bash /root/bin/greet Barbara
cat /root/greetings.txt
echo 'answer=42' > /root/settings.sh
. /root/settings.sh && echo $answer
