# A configuration changed in place.
set -eu
printf 'host = localhost\nport = 80\n# debug = no\n' > /root/app.conf
cp /root/app.conf /root/app.conf.orig
sed -i -e 's/^port = .*/port = 8080/' -e 's/^# *debug = no/debug = yes/' /root/app.conf
cat /root/app.conf
diff /root/app.conf.orig /root/app.conf | grep -c '^[<>]'
grep -n port /root/app.conf
