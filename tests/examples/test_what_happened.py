import pytest

from podflare import Sandbox


def agent():
    """The program under test: it tries two ways, and goes on with the better one."""
    with Sandbox() as parent:
        parent.run_code("rows = [3, 1, 2]")
        left, right = parent.fork(n=2)
        left.run_code("rows.sort()")
        right.run_code("rows.clear()")
        parent.merge_into(left)
        right.close()
        return parent.run_code("print(rows)").stdout


def test_what_was_asked(podflare_emulator):
    assert agent() == "[1, 2, 3]"
    calls = [one.call for one in podflare_emulator.requests()]
    assert calls == ["create", "exec", "fork", "exec", "exec", "merge_into", "destroy", "exec", "destroy"]
    create = podflare_emulator.requests(call="create")[0]
    assert create.body.get("template", "default") == "default"
    assert podflare_emulator.requests(status=404) == []


def test_what_ran(podflare_emulator):
    agent()
    sorting = podflare_emulator.the_exec(code="sort")
    assert sorting.exit_code == 0
    assert sorting.parent == podflare_emulator.forks[0].parent
    with pytest.raises(AssertionError, match="expected one exec with code='plot', found 0; what ran:"):
        podflare_emulator.the_exec(code="plot")


def test_what_became_of_the_sandboxes(podflare_emulator):
    agent()
    tree = podflare_emulator.tree()
    assert [life.state for life in tree.sandboxes] == ["closed", "merged", "closed"]
    assert str(tree).count("── sbx_") == 2
    assert tree.mermaid().startswith("flowchart TD")


def test_what_is_in_a_sandbox(podflare_emulator, podflare_sandbox):
    inside = podflare_emulator.sandbox(podflare_sandbox)
    inside.write("/root/in.txt", "3 1 2")
    podflare_sandbox.run_code("rows = sorted(open('/root/in.txt').read().split())")
    podflare_sandbox.run_code("open('/root/out.txt', 'w').write(' '.join(rows))")
    assert inside.read("/root/out.txt") == b"1 2 3"
    assert [*inside.tree("/root")] == ["/root/in.txt", "/root/out.txt"]
    assert inside.globals()["rows"] == ("list", "['1', '2', '3']")
    assert len(podflare_emulator.execs()) == 2  # looking at it is none
