"""bash in a sandbox is bash: what scripts say of themselves, of directories and of errors, on every backend."""

from __future__ import annotations

import pytest

from podflare import Sandbox
from podflare_emulator import Emulator

FILE = """cat > /root/a.sh <<'END'
#!/bin/bash
# /root/a.sh
{}
END
"""
UNMAPPED = "bash builds it, or opens it, by itself: under portable isolation the host's path"
VARIABLES = "variables are how a program finds its mapping under portable isolation"

# A script, and what it prints; "!" stands for standard error that follows.
SAME = {
    "the top": ("cd /; pwd", "/"),
    "variables of the top": ('cd / && echo "$PWD" "$OLDPWD"', "/ /root"),
    "up to the top": ("cd ..; pwd; cd root; pwd", "/\n/root"),
    "the top through a subshell": ('(cd /; pwd); x=$(cd /; pwd); echo "<$x>"', "/\n</>"),
    "the top in a stack": ("cd /tmp; pushd /; dirs; popd", "/ /tmp\n/ /tmp\n/tmp"),
    "the name of a directory at the top": ('dirname "$PWD"; basename "$PWD"', "/\nroot"),
    "the top in a child": ("bash -c 'cd /; pwd; echo $OLDPWD'; sh -c 'cd /; pwd'", "/\n/root\n/"),
    "back": ("cd /tmp; cd -; cd -- /tmp; pwd; echo $OLDPWD", "/root\n/tmp\n/root"),
    "no such directory": ("cd /nowhere; echo $?", "1!bash: line 1: cd: /nowhere: No such file or directory"),
    "its own functions only": (
        "declare -F; type cd; unset -f cd; cd /tmp; pwd",
        "cd is a shell builtin\n/tmp",
    ),
    "its own traps only": ("trap; trap 'echo /root/x' EXIT; trap -p", "trap -- 'echo /root/x' EXIT\n/root/x"),
    "its own trace only": ("set -x; echo /root/x; cd /tmp", "/root/x!+ echo /root/x\n+ cd /tmp"),
    "the trace of a child": ("bash -x -c 'echo hi; cd /tmp'", "hi!+ echo hi\n+ cd /tmp"),
    "a command that is nowhere": (
        "nosuch; echo $? $0 $LINENO",
        "127 bash 1!bash: line 1: nosuch: command not found",
    ),
    "a child's text": (
        "bash -c 'cat /root/no; nosuch; echo $0 $LINENO; declare -F; exit 5'; echo $?",
        "bash 1\n5!cat: /root/no: No such file or directory\nbash: line 1: nosuch: command not found",
    ),
    "a child's arguments": (
        "bash -c 'echo $0 \"$@\"; cat /root/no' a b 'c d' 2>&1",
        "a b c d\ncat: /root/no: No such file or directory",
    ),
    "a child's options": (
        "bash -euc 'cat <(echo /root/x); shopt -q extglob || echo plain; false; echo /root/y'; echo $?\n"
        "bash -O extglob -o pipefail -c 'ls /root; shopt -q extglob && false | true; echo $?'",
        "/root/x\nplain\n1\n1",
    ),
    "a child's function": (
        "bash -c 'f() { echo ${FUNCNAME[@]} ${BASH_SOURCE[@]}; }; f; ls /root; echo \"<$BASH_SOURCE>\"'",
        "f environment\n<>",
    ),
    "a child's error of syntax": (
        "bash -c 'cat /root/no\n)' 2>&1; echo $?",
        "cat: /root/no: No such file or directory\n"
        "bash: -c: line 2: syntax error near unexpected token `)'\nbash: -c: line 2: `)'\n2",
    ),
    "a file's names": (
        FILE.format('echo "$0" "$BASH_SOURCE" "${BASH_SOURCE[@]}" $LINENO')
        + "bash a.sh; bash /root/a.sh; chmod +x a.sh; ./a.sh; cd /tmp; ../root/a.sh",
        "a.sh a.sh a.sh 3\n/root/a.sh /root/a.sh /root/a.sh 3\n./a.sh ./a.sh ./a.sh 3\n"
        "../root/a.sh ../root/a.sh ../root/a.sh 3",
    ),
    "a file's errors": (
        FILE.format("nosuch\nf() {\nnosuch\n}\nf; cat /root/no") + "bash /root/a.sh; bash a.sh",
        "!/root/a.sh: line 3: nosuch: command not found\n/root/a.sh: line 5: nosuch: command not found\n"
        "cat: /root/no: No such file or directory\n"
        "a.sh: line 3: nosuch: command not found\na.sh: line 5: nosuch: command not found\n"
        "cat: /root/no: No such file or directory",
    ),
    "a file's functions": (
        FILE.format('f() { echo "${FUNCNAME[@]} ${BASH_LINENO[@]}"; }\nf; declare -F; ls /root/a.sh')
        + "bash a.sh",
        "f main 4 0\ndeclare -f f\n/root/a.sh",
    ),
    "a file's arguments and options": (
        FILE.format('echo "$#" "$2" $-; ls /root/a.sh; false; echo no') + "bash -e a.sh 1 '2 3'; echo $?",
        "2 2 3 ehB\n/root/a.sh\n1",
    ),
    "a file's trace": (FILE.format("cd /tmp") + "bash -x a.sh", "!+ cd /tmp"),
    "a file's input": (
        FILE.format('read x; echo "$x"; ls /root/a.sh') + "echo given | bash a.sh",
        "given\n/root/a.sh",
    ),
    "a file's own directory": (
        FILE.format('cd "$(dirname "${BASH_SOURCE[0]}")" && pwd; cd "${0%/*}" && pwd; ls /root/a.sh')
        + "cd /tmp; bash /root/a.sh",
        "/root\n/root\n/root/a.sh",
    ),
    "a file's error of syntax": (
        FILE.format("ls /root/a.sh\n)") + "bash a.sh 2>&1; echo $?",
        "/root/a.sh\na.sh: line 4: syntax error near unexpected token `)'\na.sh: line 4: `)'\n2",
    ),
    "a file with NUL bytes": (
        r"printf '#\necho a\0b; ls /root\n' > /tmp/n.sh; bash /tmp/n.sh; echo $?",
        "ab\n0",
    ),
    "a file that is no script": (
        r"printf 'echo a\0b /root/x\n' > /tmp/n.sh; bash /tmp/n.sh; echo $?",
        "126!/tmp/n.sh: /tmp/n.sh: cannot execute binary file",
    ),
    "a file that leaves nothing": (
        FILE.format("ls /root/a.sh") + "bash a.sh; find /.venv -name 'scripts*'",
        "/root/a.sh",
    ),
    "Python's shell": ("python3 -c 'import os; os.system(\"nosuch\")'", "!sh: 1: nosuch: not found"),
}

# The same; what follows is why it differs under portable isolation.
DIFFERENT = {
    "comparing the top": ('cd /; [ "$PWD" = / ] && echo top', "top", UNMAPPED),
    "the length of a path": ("echo ${#PWD}", "5", UNMAPPED),
    "beyond the top": ("cd ../..; pwd", "/", UNMAPPED),
    "cutting a path": ("mktemp /tmp/fooXXXX | cut -c1-8", "/tmp/foo", UNMAPPED),
    "a pattern's first name": ("touch g1; echo /*/g1", "/root/g1", UNMAPPED),
    "a file that is read in": (FILE.format("ls /root/a.sh") + ". /root/a.sh", "/root/a.sh", UNMAPPED),
    "the environment": ("env | grep -c -e PODFLARE_ -e BASH_ENV -e TMPDIR", "0", VARIABLES),
    "its variables": ('echo "${BASH_ENV-none}"', "none", VARIABLES),
    "the system's directories": ("ls -d /u*", "/usr", UNMAPPED),
}


def said(machine: Sandbox, script: str) -> str:
    result = machine.run_code(script, "bash")
    return result.stdout + (f"!{result.stderr}" if result.stderr else "")


@pytest.mark.parametrize("what", SAME)
def test_what_bash_says(machine: Sandbox, what: str) -> None:
    script, expected = SAME[what]
    assert said(machine, script) == expected


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_only_a_bash_with_paths_of_its_own_says(
    machine: Sandbox, machine_emulator: Emulator, request: pytest.FixtureRequest, what: str
) -> None:
    script, expected, reason = DIFFERENT[what]
    if machine_emulator.isolation == "portable":
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True, raises=AssertionError))
    assert said(machine, script) == expected
