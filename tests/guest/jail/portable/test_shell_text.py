"""What the portable backend makes of a script's text: R stands for the sandbox's directory."""

from __future__ import annotations

import random

import pytest

from podflare_emulator.guest.jail.portable.mapping import SYSTEM_DIRECTORIES, PathMap, shell_command

PATHS = PathMap("/R", (*SYSTEM_DIRECTORIES, "/opt/python"))

REWRITTEN = {
    "cd /root && pwd": "cd /R/root && pwd",
    "cat /root/a>/tmp/b 2>>/tmp/c </data/d": "cat /R/root/a>/R/tmp/b 2>>/R/tmp/c </R/data/d",
    "make &>/tmp/log; cat<>/data/x": "make &>/R/tmp/log; cat<>/R/data/x",
    "for f in /root/*.txt /data/[ab]/?; do wc $f; done": "for f in /R/root/*.txt /R/data/[ab]/?; do wc $f; done",
    "find /root /tmp -type f -print0": "find /R/root /R/tmp -type f -print0",
    "cat '/root/a b' \"/root/$x\" /root/a\\ b": "cat '/R/root/a b' \"/R/root/$x\" /R/root/a\\ b",
    'x=/root/y z="/data/a b" run': 'x=/R/root/y z="/R/data/a b" run',
    "export PATH=/opt/bin:$PATH:/root/bin": "export PATH=/R/opt/bin:$PATH:/R/root/bin",
    "run --out=/data/x --in='/data/y'": "run --out=/R/data/x --in='/R/data/y'",
    "y=$(cat /root/x) z=`cat /root/y`": "y=$(cat /R/root/x) z=`cat /R/root/y`",
    'echo "$(cat /root/x)"': 'echo "$(cat /R/root/x)"',
    "diff <(sort /root/a) <(sort /root/b)": "diff <(sort /R/root/a) <(sort /R/root/b)",
    "(cd /tmp; ls) && { cat /root/a; }": "(cd /R/tmp; ls) && { cat /R/root/a; }",
    "cp {/root/a,/root/b} /tmp/{c,d}": "cp {/R/root/a,/R/root/b} /R/tmp/{c,d}",
    "echo ${X:-/root/d} ${p#/root/}": "echo ${X:-/R/root/d} ${p#/R/root/}",
    "echo /root/* >> /root/list": "echo /R/root/* >> /R/root/list",
    "case $x in /root/*) rm /root/a;; esac; ls /tmp": "case $x in /R/root/*) rm /R/root/a;; esac; ls /R/tmp",
    "[ -f /root/x ] && [[ -d /tmp ]]": "[ -f /R/root/x ] && [[ -d /R/tmp ]]",
    "bash -c 'cat /root/a; ls /tmp' /data/x": "bash -c 'cat /R/root/a; ls /R/tmp' /R/data/x",
    'sudo timeout 5 sh -ec "cat /root/a"': 'sudo timeout 5 sh -ec "cat /R/root/a"',
    "eval 'cat /root/a'; trap 'rm /tmp/x' EXIT": "eval 'cat /R/root/a'; trap 'rm /R/tmp/x' EXIT",
    "find /root -exec sh -c 'cat /root/x' \\;": "find /R/root -exec sh -c 'cat /R/root/x' \\;",
    "ls / && cd / && du -s /": "ls /R/ && cd /R/ && du -s /R/",
    "cat /root/../tmp/x /usr/../root/y": "cat /R/tmp/x /R/root/y",
    "touch /dev/shm/x": "touch /R/run/shm/x",
    "cat > /root/x <<EOF\n/root/x $(cat /root/y)\nEOF\ncat /root/z": (
        "cat > /R/root/x <<EOF\n/root/x $(cat /R/root/y)\nEOF\ncat /R/root/z"
    ),
    "bash <<'E'\ncat /root/x\nE\ncat /root/y": "bash <<'E'\ncat /R/root/x\nE\ncat /R/root/y",
    "sed -i 's/a/b/' /root/f; grep -e /x /root/f": "sed -i 's/a/b/' /R/root/f; grep -e /x /R/root/f",
    "awk -F: '/root/ {print}' /data/p": "awk -F: '/root/ {print}' /R/data/p",
    "/root/run.sh /root/x": "/R/root/run.sh /R/root/x",
    "a \\\n  /root/x # and /root/y\nb /root/z": "a \\\n  /R/root/x # and /root/y\nb /R/root/z",
}

LEFT_ALONE = (
    "curl -s http://localhost/root https://x:80/tmp file:///root",
    "cat /usr/bin/env /etc/passwd /dev/null /proc/self/stat /opt/python/bin/python",
    "echo $((6 / 2)) $((a/b)) $((6 /2)); ((x = y /2)); expr 6 / 2",
    "sed 's/root/tmp/; /root/d' | grep /root | awk '/tmp/ {print}' | perl -pe '/root/ and s/a/b/'",
    "gcc -I/root/include a.c; ls $HOME/x ~/x ./tmp/x ../root tmp/",
    'echo "see /root/x" /root/x; printf "%s" /root/y',
    'git commit -m "fix: /root and /tmp"',
    "python3 - <<'EOF'\nopen('/root/x')\nEOF\n",
    "cat <<-EOF\n\t/root/x\n\tEOF\n",
    "python3 -c \"open('/root/x')\"",
    "cat <<< /root/x",
    "[[ $x =~ ^/root && $x =~ /root/.* ]]",
    "# cat /root/x",
    "cat /R/root/x /R/tmp",
    "$'/root' \"${x}/root\" a/root @/root",
    "cat 'unfinished /root",
    "",
)


@pytest.mark.parametrize("script", REWRITTEN)
def test_a_mapped_path_is_rewritten(script: str) -> None:
    assert shell_command(script, PATHS) == REWRITTEN[script]


@pytest.mark.parametrize("script", REWRITTEN)
def test_twice_is_as_once(script: str) -> None:
    assert shell_command(REWRITTEN[script], PATHS) == REWRITTEN[script]


@pytest.mark.parametrize("script", LEFT_ALONE)
def test_what_is_no_mapped_path_is_left_alone(script: str) -> None:
    assert shell_command(script, PATHS) == script


def test_nothing_but_the_root_is_put_in() -> None:
    """Whatever the script, and be it no script at all."""
    chance = random.Random(0)
    root = "/0123456789"
    paths = PathMap(root, ("/b",))
    for _ in range(3000):
        script = "".join(chance.choices("ab/ \n\t'\"$(){}<>;&|#=:\\`-*~[]!", k=chance.randrange(40)))
        assert shell_command(script, paths).replace(root, "") == script
