"""The files, and the open handles on them, of forked sandboxes."""

from collections.abc import Callable

import pytest

from podflare import Sandbox

from .printed import printed

Fork = Callable[..., list[Sandbox]]


def test_children_start_with_the_parents_files(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox,
        "mkdir -p /root/a/b /srv/c; echo 1 > /root/a/b/file; echo 2 > /tmp/file; echo 3 > /srv/c/file",
        "bash",
    )
    for child in fork(sandbox, 2):
        assert printed(child, "cat /root/a/b/file /tmp/file /srv/c/file", "bash") == "1\n2\n3"


def test_absolute_links_lead_into_the_childs_own_files(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "echo parent > /root/file; ln -s /root/file /tmp/link", "bash")
    (child,) = fork(sandbox)
    (grandchild,) = fork(child)
    printed(child, "_ = open('/tmp/link', 'w').write('child')")
    printed(grandchild, "echo grandchild > /tmp/link", "bash")
    names = [printed(each, "cat /root/file /tmp/link", "bash") for each in (sandbox, child, grandchild)]
    assert names == ["parent\nparent", "childchild", "grandchild\ngrandchild"]


def test_files_are_independent_both_ways(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "echo old | tee /root/changed /root/removed > /dev/null", "bash")
    one, other = fork(sandbox, 2)
    printed(one, "echo child > /root/changed; rm /root/removed; echo new > /root/made", "bash")
    printed(sandbox, "echo parent > /root/changed", "bash")
    assert printed(one, "cat /root/changed; ls /root", "bash") == "child\nchanged\nmade"
    assert printed(other, "cat /root/changed; ls /root", "bash") == "old\nchanged\nremoved"
    assert printed(sandbox, "cat /root/changed; ls /root", "bash") == "parent\nchanged\nremoved"


def test_a_file_that_was_removed_before_the_fork_is_gone_in_the_child(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "touch /root/file; rm /root/file", "bash")
    [child] = fork(sandbox)
    assert printed(child, "ls /root", "bash") == ""


def test_modes_times_links_and_sizes_are_kept(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox,
        "cd /root; echo x > program; chmod 751 program; ln -s program soft; ln program hard; mkdir empty; "
        "touch -d 2001-02-03T04:05:06Z program; mkfifo pipe; truncate -s 100M sparse",
        "bash",
    )
    check = (
        "cd /root; stat -c '%n %A %h %s %Y' program soft hard empty pipe sparse | sed '/empty/s/ [0-9].*//; "
    )
    check += "/soft\\|pipe\\|sparse/s/ [0-9]*$//'; readlink soft; [ program -ef hard ] && echo same"
    [child] = fork(sandbox)
    assert printed(child, check, "bash") == printed(sandbox, check, "bash")
    assert int(printed(child, "stat -c %b /root/sparse", "bash")) < 1000


def test_a_file_that_nobody_may_read_is_copied(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox,
        "echo secret > /root/closed; mkdir /root/shut; echo in > /root/shut/file; chmod 0 /root/closed /root/shut",
        "bash",
    )
    if sandbox.run_code("cat /root/closed", "bash").exit_code:
        pytest.skip("under this isolation the sandbox's root is an ordinary user, who may not read it either")
    [child] = fork(sandbox)
    assert (
        printed(child, "chmod 700 /root/shut /root/closed; cat /root/closed /root/shut/file", "bash")
        == "secret\nin"
    )


@pytest.mark.parametrize(
    "name", ["with space", "line\nbreak", "ünïcode 🐍", "-rf", "quote'\"", "back\\slash"]
)
def test_files_of_any_name_are_copied(sandbox: Sandbox, fork: Fork, name: str) -> None:
    printed(sandbox, f"name = {name!r}; open('/root/' + name, 'w').write(name)")
    [child] = fork(sandbox)
    assert printed(
        child, "import os; print(os.listdir('/root') == [name], open('/root/' + name).read() == name)"
    ) == ("True True")


def test_an_open_file_keeps_its_offset_and_each_has_its_own(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox, "import os; fd = os.open('/root/file', os.O_RDWR | os.O_CREAT); os.write(fd, b'0123456789')"
    )
    printed(sandbox, "_ = os.lseek(fd, 3, 0)")
    one, other = fork(sandbox, 2)
    assert printed(one, "print(os.read(fd, 4))") == "b'3456'"
    assert printed(other, "print(os.read(fd, 1))") == "b'3'"
    assert printed(sandbox, "print(os.read(fd, 2))") == "b'34'"
    assert printed(one, "print(os.read(fd, 4))") == "b'789'"


def test_a_buffered_reader_goes_on_where_it_was(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "with open('/root/file', 'w') as f: f.writelines(f'{i}\\n' for i in range(100_000))")
    printed(sandbox, "file = open('/root/file'); [next(file) for _ in range(10)]")
    one, other = fork(sandbox, 2)
    assert printed(one, "print(next(file), sum(1 for _ in file), end='')") == "10\n 99989"
    assert printed(other, "print(next(file), end='')") == "10"


def test_writes_to_an_open_file_stay_with_their_writer(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "file = open('/root/file', 'w'); file.write('start '); file.flush()")
    one, other = fork(sandbox, 2)
    for each, word in ((one, "one"), (other, "other"), (sandbox, "parent")):
        printed(each, f"file.write({word!r}); file.flush()")
    read = "print(open('/root/file').read())"
    assert [printed(each, read) for each in (one, other, sandbox)] == [
        "start one",
        "start other",
        "start parent",
    ]


def test_what_is_still_in_a_files_buffer_is_written_by_each(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "file = open('/root/file', 'w'); file.write('buffered ')")
    [child] = fork(sandbox)
    for each, word in ((child, "child"), (sandbox, "parent")):
        printed(each, f"file.write({word!r}); file.close()")
    assert printed(child, "print(open('/root/file').read())") == "buffered child"
    assert printed(sandbox, "print(open('/root/file').read())") == "buffered parent"


def test_an_append_handle_appends_to_the_childs_own_file(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "log = open('/root/log', 'a', buffering=1); print('parent', file=log)")
    [child] = fork(sandbox)
    printed(child, "print('child', file=log)")
    assert printed(child, "cat /root/log", "bash") == "parent\nchild"
    assert printed(sandbox, "cat /root/log", "bash") == "parent"


def test_an_open_file_that_was_removed_can_still_be_read_and_written(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox,
        "import os; file = open('/root/file', 'w+'); file.write('kept'); file.flush(); os.remove('/root/file')",
    )
    [child] = fork(sandbox)
    printed(child, "file.write(' on'); file.flush(); _ = file.seek(0)")
    assert printed(child, "print(file.read(), os.listdir('/root'))") == "kept on []"
    assert printed(sandbox, "_ = file.seek(0); print(file.read())") == "kept"


def test_a_temporary_file_goes_on(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "import tempfile; file = tempfile.TemporaryFile(); file.write(b'abc'); _ = file.seek(1)")
    [child] = fork(sandbox)
    assert printed(child, "print(file.read())") == "b'bc'"
    assert printed(sandbox, "print(file.read())") == "b'bc'"


def test_a_second_handle_on_the_same_open_file_shares_its_offset(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox,
        "import os; a = os.open('/root/file', os.O_RDWR | os.O_CREAT); os.write(a, b'0123'); b = os.dup(a)",
    )
    printed(sandbox, "_ = os.lseek(a, 0, 0)")
    [child] = fork(sandbox)
    assert printed(child, "print(os.read(a, 1), os.read(b, 1))") == "b'0' b'1'"
    assert printed(sandbox, "print(os.read(b, 1))") == "b'0'"


def test_a_handle_on_a_directory_is_the_childs_own(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "import os; os.mkdir('/root/d'); d = os.open('/root/d', os.O_RDONLY)")
    [child] = fork(sandbox)
    printed(child, "os.close(os.open('made', os.O_CREAT | os.O_WRONLY, dir_fd=d))")
    assert printed(child, "print(os.listdir('/root/d'))") == "['made']"
    assert printed(sandbox, "print(os.listdir('/root/d'))") == "[]"


def test_a_working_directory_below_root_is_the_childs_own(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "import os; os.mkdir('/root/d'); os.chdir('/root/d')")
    [child] = fork(sandbox)
    printed(child, "open('made', 'w').close()")
    assert printed(child, "print(os.listdir('/root/d'))") == "['made']"
    assert printed(sandbox, "print(os.listdir('/root/d'))") == "[]"


def test_a_file_changed_at_the_moment_before_the_fork_is_the_changed_one(
    sandbox: Sandbox, fork: Fork
) -> None:
    for turn in range(5):
        printed(sandbox, f"open('/root/file', 'w').write('{turn}')")
        [child] = fork(sandbox)
        assert printed(child, "print(open('/root/file').read())") == str(turn)


def test_many_files_and_deep_directories_are_copied(sandbox: Sandbox, fork: Fork) -> None:
    printed(
        sandbox,
        "mkdir -p /root/many; cd /root/many; seq 2000 | xargs touch; d=/root; "
        "for i in $(seq 50); do d=$d/d; mkdir $d; done; echo deep > $d/file",
        "bash",
    )
    [child] = fork(sandbox)
    assert (
        printed(child, "ls /root/many | wc -l; find /root -name file -exec cat {} +", "bash") == "2000\ndeep"
    )


def test_more_files_than_a_guest_copies_by_itself_are_all_there(sandbox: Sandbox, fork: Fork) -> None:
    printed(sandbox, "import os; os.mkdir('/root/many'); held = open('/root/many/11', 'a+')")
    printed(
        sandbox,
        "cd /root; for n in $(seq 400); do echo $n > many/$n; done; chmod 640 many/7; ln many/8 hard; "
        "ln -s /root/many/9 soft; mkfifo many/pipe; rm -r /srv; touch -d 2001-02-03T04:05:06Z many/10 many",
        "bash",
    )
    check = "ls /root/many | wc -l; stat -c '%A %h' /root/many/7 /root/hard; cat /root/soft; [ -e /srv ] || echo gone; "
    check += (
        "stat -c %Y /root/many/10 /root/many; cat /root/many/* 2>/dev/null < /dev/null | sort -n | md5sum"
    )
    check = check.replace("/root/many/* ", "$(find /root/many -type f) ")
    first, second, *others = fork(sandbox, 5)
    expected = printed(sandbox, check, "bash")
    assert expected.startswith("401\n-rw-r----- 1\n-rw-r--r-- 2\n9\ngone\n981173106\n981173106\n")
    assert {printed(child, check, "bash") for child in (first, second, *others)} == {expected}
    printed(first, "_ = held.write('+'); held.flush(); open('/root/soft', 'w').close()")
    assert printed(first, "cat /root/many/11 /root/many/9", "bash") == "11\n+"
    assert printed(second, "cat /root/many/11 /root/many/9", "bash") == "11\n9"
