import asyncio

from podflare import AsyncSandbox


def test_answer_a_question(podflare_sandbox):
    seen = []
    terminal = podflare_sandbox.pty.create(
        cmd="read -p 'Remove all? ' answer; echo you said $answer", on_data=seen.append
    )
    terminal.send_input("no\r")
    assert terminal.wait(timeout=60) == 0
    assert b"you said no" in b"".join(seen)


def test_a_session_for_a_browser(podflare_sandbox):
    with podflare_sandbox.pty.create(cmd=["python3", "-q"], cols=100, rows=30) as terminal:
        terminal.send_input("print(6 * 7)\r")
        seen = b""
        while b"42" not in seen:
            seen += next(terminal)  # waits for what comes next
        terminal.resize(132, 50)
        terminal.send_input("exit()\r")
        assert terminal.wait(timeout=60) == 0


def test_go_on_with_a_session_later(podflare_sandbox):
    terminal = podflare_sandbox.pty.create(cmd="echo begun; read line; echo got $line")
    assert next(terminal)
    terminal.close()  # the program goes on

    assert [session.pty_id for session in podflare_sandbox.pty.list()] == [terminal.id]
    again = podflare_sandbox.pty.attach(terminal.id)  # earlier output comes first
    again.send_input("it\r")
    assert b"".join(again).endswith(b"got it\r\n")


async def said(command):
    async with AsyncSandbox() as sandbox, await sandbox.pty.create(cmd=command) as terminal:
        return b"".join([piece async for piece in terminal])


def test_async(podflare_emulator):
    assert asyncio.run(said("stty size")) == b"24 80\r\n"
