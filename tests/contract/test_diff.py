"""`Sandbox.diff`: regular files by the hash of their content."""

from collections.abc import Callable

from podflare import Sandbox

from ..matrix import SLOW
from .printed import printed

Fork = Callable[..., list[Sandbox]]
NOTHING: dict[str, list[str]] = {"added": [], "removed": [], "modified": []}


def test_the_seeds_example(sandbox: Sandbox, fork: Fork) -> None:
    a, b = fork(sandbox, 2)
    a.run_code("with open('/root/a.txt','w') as f: f.write('from a')")
    b.run_code("with open('/root/b.txt','w') as f: f.write('from b')")
    assert a.diff(b) == {"added": ["/root/b.txt"], "removed": ["/root/a.txt"], "modified": []}


def test_a_fork_is_no_different(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "open('/root/file', 'w').write('same')")
    [child] = fork(sandbox)
    assert sandbox.diff(child) == NOTHING


def test_two_new_sandboxes_are_no_different(sandbox: Sandbox, fork: Fork) -> None:
    assert sandbox.diff(sandbox) == NOTHING


def test_modified_means_other_content(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "open('/root/file', 'w').write('12'); open('/tmp/touched', 'w').write('12')")
    [child] = fork(sandbox)
    printed(child, "open('/root/file', 'w').write('21'); import os; os.utime('/tmp/touched', (1, 1))")
    printed(child, "chmod 600 /tmp/touched; touch /tmp/new", "bash")
    assert sandbox.diff(child) == {"added": ["/tmp/new"], "removed": [], "modified": ["/root/file"]}
    assert child.diff(sandbox) == {"added": [], "removed": ["/tmp/new"], "modified": ["/root/file"]}


def test_root_and_tmp_are_compared_and_nothing_else(sandbox: Sandbox, fork: Fork) -> None:
    [child] = fork(sandbox)
    printed(child, "mkdir -p /srv/x /data/x; touch /srv/x/a /data/x/b /root/c /tmp/d", "bash")
    assert sandbox.diff(child)["added"] == ["/root/c", "/tmp/d"]


def test_paths_restrict_the_comparison(sandbox: Sandbox, fork: Fork) -> None:
    [child] = fork(sandbox)
    printed(child, "mkdir -p /root/in /data; touch /root/in/a /root/out /data/b", "bash")
    assert sandbox.diff(child, paths=["/root/in", "/data"])["added"] == ["/data/b", "/root/in/a"]


def test_a_path_may_be_a_file_or_missing(sandbox: Sandbox, fork: Fork) -> None:
    [child] = fork(sandbox)
    printed(child, "touch /root/file /root/other", "bash")
    assert sandbox.diff(child, paths=["/root/file", "/no/such/path"])["added"] == ["/root/file"]


def test_paths_are_quoted(sandbox: Sandbox, fork: Fork) -> None:
    [child] = fork(sandbox)
    path = '/root/it\'s; rm -rf "$HOME" #'
    printed(child, f"import os; os.mkdir({path!r}); open({path!r} + '/file', 'w').close()")
    assert sandbox.diff(child, paths=[path])["added"] == [f"{path}/file"]


def test_file_names_of_every_kind_are_told_as_they_are(sandbox: Sandbox, fork: Fork) -> None:
    names = sorted(["a b", "line\nbreak", "ünï 🐍", "-n", "quote'\"", "tab\t", " lead", "\\", "*"])
    [child] = fork(sandbox)
    printed(child, f"for name in {names!r}: open('/root/' + name, 'w').close()")
    assert sandbox.diff(child)["added"] == [f"/root/{name}" for name in names]


def test_only_regular_files_count(sandbox: Sandbox, fork: Fork) -> None:
    [child] = fork(sandbox)
    printed(child, "cd /root; mkdir directory; mkfifo pipe; ln -s /etc/passwd link; ln -s / tree", "bash")
    assert sandbox.diff(child) == NOTHING


@SLOW
def test_ten_thousand_files_are_compared(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "mkdir /root/many; cd /root/many; seq 10000 | xargs touch", "bash")
    [child] = fork(sandbox)
    printed(child, "echo changed > /root/many/5000", "bash")
    assert sandbox.diff(child) == {"added": [], "removed": [], "modified": ["/root/many/5000"]}


def test_diff_leaves_no_name_and_no_file_behind(sandbox: Sandbox, fork: Fork) -> None:
    count = "import os; print(sorted(globals()), os.listdir('/root'), os.listdir('/tmp'))"
    before = printed(sandbox, count)
    [child] = fork(sandbox)
    sandbox.diff(child)
    assert printed(sandbox, count) == before
