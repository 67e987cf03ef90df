"""A Debian package of one program, as lines of bash that make it: /root/greeting.deb."""

BUILD = r"""
mkdir -p /root/package/DEBIAN /root/package/usr/bin /root/package/usr/share/doc/greeting
printf 'Package: greeting\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n' \
    > /root/package/DEBIAN/control
printf '#!/bin/sh\necho hello\n' > /root/package/usr/bin/greeting
chmod 755 /root/package/usr/bin/greeting
echo text > /root/package/usr/share/doc/greeting/README
chown -R 0:0 /root/package
cd /root && dpkg-deb --build package greeting.deb > /dev/null
"""
