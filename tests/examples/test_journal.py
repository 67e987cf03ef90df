from podflare import Sandbox


def agent():
    """The program under test."""
    with Sandbox() as parent:
        parent.run_code("x = 1")
        for child in parent.fork(n=2):
            child.run_code("print(x)")
            child.close()


def test_what_the_agent_did(podflare_emulator):
    agent()
    assert [one.code for one in podflare_emulator.execs()] == ["x = 1", "print(x)", "print(x)"]
    assert len(podflare_emulator.forks) == 1
